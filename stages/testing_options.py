"""Options of testing one network. Nothing heavy is imported here."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from base.label_classes import LabelClasses, parse_classes
from networks import Architecture, find_architecture
from utils.cli.common_options import (
    ComparisonOptions,
    DataOptions,
    DeviceOptions,
    MeasurementOptions,
    PredictionOptions,
)
from utils.cli.options import flag, option
from utils.cli.value_types import one_file, parse_positive_int


@dataclass(frozen=True, kw_only=True)
class WeightsOptions:
    """The trained network."""

    TITLE: ClassVar[str] = "network"

    network_weights: tuple[str, ...] = option(
        "--network-weights",
        nargs="+",
        required=True,
        metavar="FILE",
        help="weights of the network: a path, or a glob of one file",
    )
    network: Architecture | None = option(
        "-n", "--network", parse=find_architecture, help="architecture (default: that of the weights)"
    )
    receptive_field_size: int | None = option(
        "--receptive-field-size",
        parse=parse_positive_int,
        help="side of the receptive field in voxels (default: that of the weights)",
    )
    classes: LabelClasses | None = option(
        "--classes", parse=parse_classes, help="labels of the classes (default: those of the weights)"
    )
    save_probabilities: bool = flag(
        "--save-probabilities", help="write the probability of each class on the scan's grid"
    )


@dataclass(frozen=True, kw_only=True)
class NetworkTestOptions(
    DataOptions, WeightsOptions, PredictionOptions, MeasurementOptions, ComparisonOptions, DeviceOptions
):
    """All options of testing one network."""

    def settled(self) -> "NetworkTestOptions":
        """Return the options with every default filled in.

        Raises:
            InputError: folders, weights or runs to compare with are missing, or options contradict each other.
        """
        self.check_folders()
        settled = self.settled_comparison(self.save, self.evaluate)
        self.weights_path  # noqa: B018 - raises
        return settled

    @property
    def weights_path(self) -> Path:
        """Path of the weights."""
        return one_file("--network-weights", list(self.network_weights))
