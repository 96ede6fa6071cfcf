"""Options of averaging an ensemble. Nothing heavy is imported here."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from base.errors import InputError
from base.label_classes import LabelClasses, parse_classes
from networks import Architecture, find_architecture
from utils.cli.common_options import DataOptions, DeviceOptions, MeasurementOptions, PredictionOptions
from utils.cli.options import flag, option
from utils.cli.value_types import parse_positive_int, parse_positive_number


@dataclass(frozen=True, kw_only=True)
class MemberOptions:
    """The members of the ensemble."""

    TITLE: ClassVar[str] = "members"

    classes: LabelClasses = option(
        "--classes", parse=parse_classes, required=True, help="labels of the members' classes, such as 0,1,2"
    )
    network: Architecture | None = option(
        "-n", "--network", parse=find_architecture, help="architecture of the members (default: any)"
    )
    receptive_field_size: int | None = option(
        "--receptive-field-size",
        parse=parse_positive_int,
        help="side of the members' receptive field in voxels (default: any)",
    )
    sample_size: int | None = option(
        "--sample-size",
        parse=parse_positive_int,
        help="side of the area that the members' patches classify, in voxels (default: any)",
    )
    trained_networks: Path | None = option(
        "--trained-networks",
        parse=Path,
        help="file that lists the members' weights, one path a line (default: all networks in SAVE that fit)",
    )
    member_weights: str = option(
        "--member-weights",
        choices=("equal", "validation"),
        default="equal",
        help="weight of each member in the mean; validation: the mean Dice of its last validation",
    )
    cross_fit: bool = flag(
        "--cross-fit", help="predict each case out-of-fold, with the members that were not trained on its patient"
    )


@dataclass(frozen=True, kw_only=True)
class SoftLabelOptions:
    """Soft labels and uncertainty maps."""

    TITLE: ClassVar[str] = "soft labels"

    clip: bool = flag(
        "--clip", help="set foreground outside the reference's foreground to background, in soft labels, too"
    )
    temperature: float = option(
        "--temperature",
        parse=parse_positive_number,
        default=1.0,
        help="temperature T of the soft labels, softmax(logits / T)",
    )
    soft_labels: Path | None = option(
        "--soft-labels", parse=Path, help="folder to write the soft labels to (default: SAVE/soft_labels/<classes>)"
    )
    uncertainty_maps: bool = flag(
        "--uncertainty-maps", help="write maps of predictive entropy and mutual information, in nats"
    )


@dataclass(frozen=True, kw_only=True)
class EnsembleOptions(
    DataOptions, MemberOptions, PredictionOptions, SoftLabelOptions, MeasurementOptions, DeviceOptions
):
    """All options of averaging an ensemble."""

    @property
    def run_folder(self) -> Path:
        """Folder of the results."""
        return self.save / (self.run or self._run_name) / self.evaluate

    @property
    def _run_name(self) -> str:
        parts = ["ensemble", f"c{self.classes.folder_name.replace('_', '-')}"]
        if self.network:
            parts.append(self.network.name)
        if self.receptive_field_size:
            parts.append(f"rf{self.receptive_field_size}")
        if self.sample_size:
            parts.append(f"s{self.sample_size}")
        if self.cross_fit:
            parts.append("crossfit")
        return "_".join(parts)

    def check(self) -> None:
        """Raise InputError where options contradict each other, or the folders that there are."""
        self.check_folders()
        if self.clip and self.clip_to:
            raise InputError("--clip-to", "contradicts --clip", "give one of them")
