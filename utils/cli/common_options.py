"""Groups of options that several stages share. Nothing heavy is imported here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from base.errors import InputError
from base.regions import parse_regions
from base.run_files import prediction_path
from base.run_record import PredictionSettings
from utils.cli.options import flag, option
from utils.cli.value_types import (
    parse_components,
    parse_folder_name,
    parse_non_negative_number,
    parse_overlap,
    parse_positive_int,
    parse_positive_number,
)


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Folders of data and results."""

    TITLE: ClassVar[str] = "data"

    data: Path = option(
        "-d", "--data", parse=Path, required=True, recorded=False, help="DATA: folder that holds train, val and test"
    )
    save: Path = option(
        "-s", "--save", parse=Path, required=True, recorded=False, help="SAVE: folder of experiments and results"
    )

    def check_folders(self) -> None:
        """Raise InputError where DATA is not a folder, or SAVE exists and is not a folder."""
        if not self.data.is_dir():
            problem = "is not a folder" if self.data.exists() else "there is no such folder"
            raise InputError(self.data, problem, "check -d")
        if self.save.exists() and not self.save.is_dir():
            raise InputError(self.save, "is not a folder", "check -s")


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """Device and arithmetic of networks."""

    TITLE: ClassVar[str] = "device"

    device: str = option("--device", default="auto", recorded=False, help="device: auto, cpu, cuda or cuda:N")
    threads: int | None = option(
        "--threads",
        parse=parse_positive_int,
        metavar="N",
        recorded=False,
        help="number of threads of PyTorch (default: usable cores, or OMP_NUM_THREADS if smaller)",
    )
    precision: str = option(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        default="auto",
        help="bf16: convolutions in bfloat16; auto: bf16 on a GPU that supports it, else fp32",
    )
    compile: bool = flag(
        "--compile",
        recorded=False,
        help="compile the networks with PyTorch (dilated networks only in training): slow to start, then faster",
    )


@dataclass(frozen=True, kw_only=True)
class VolumeOptions:
    """How networks are run on whole volumes."""

    TITLE: ClassVar[str] = "whole volumes"

    overlap: float = option(
        "--overlap",
        parse=parse_overlap,
        default=0.5,
        help="share of a sliding window's side that the next window covers, too",
    )
    views: int = option(
        "--views",
        parse=parse_positive_int,
        default=1,
        metavar="N",
        help="number of mirrored views of each scan whose predictions are averaged, for networks trained with --flip: "
        "up to 4 for axial slices, up to 8 otherwise; N times as slow",
    )
    memory_limit: float = option(
        "--memory-limit",
        parse=parse_positive_number,
        default=4.0,
        metavar="GB",
        help="limit of the activations of one pass over a volume, in GB",
    )

    @property
    def memory_limit_bytes(self) -> float:
        """Limit of the activations of one pass, in bytes."""
        return self.memory_limit * 1e9


@dataclass(frozen=True, kw_only=True)
class PredictionOptions(VolumeOptions):
    """Split to predict, and options of prediction."""

    TITLE: ClassVar[str] = "prediction"

    evaluate: str = option("-e", "--evaluate", choices=("train", "val", "test"), required=True, help="split to predict")
    run: str | None = option(
        "-r",
        "--run",
        parse=parse_folder_name,
        help="name of the run: results go to SAVE/<run>/<split>/ (default: the experiment's name; of an ensemble, a "
        "name made of the options)",
    )
    clip_to: str | None = option(
        "--clip-to",
        parse=parse_folder_name,
        metavar="RUN",
        help="set foreground outside the foreground that RUN predicted for the split to background (default: no "
        "clipping)",
    )
    keep_largest: int | str | None = option(
        "--keep-largest",
        parse=parse_components,
        metavar="N|auto",
        help="number of largest connected components of each class to keep; 0 keeps all; auto: with -e val, choose for "
        "each class what is best on the validation cases, and store it with the weights (default: what was chosen for "
        "the weights, else 0)",
    )
    overwrite: bool = flag(
        "--overwrite", recorded=False, help="predict finished cases again and replace all results of an earlier run"
    )

    def settings(self, precision: str, kept: int | Mapping[str, int]) -> PredictionSettings:
        """Return the options that change predictions, as recorded with them.

        Args:
            precision: the one in use.
            kept: number of components to keep, as settled.
        """
        views = self.views if self.views > 1 else None
        return PredictionSettings(self.clip_to, self.overlap, self.memory_limit, kept, precision, views)

    def check_clip_to(self, save: Path, folder: Path) -> None:
        """Raise InputError where --clip-to names the run whose own results go to `folder`."""
        if self.clip_to and self.clip_folder(save).resolve() == folder.resolve():
            raise InputError("--clip-to", f"{self.clip_to} is the run itself", "name another run, there or with -r")

    def clip_folder(self, save: Path) -> Path:
        """Return the folder of the run that --clip-to names."""
        return save / self.clip_to / self.evaluate

    def clip_path(self, save: Path, case_name: str) -> Path:
        """Return the path of the prediction that a case is clipped to."""
        return prediction_path(self.clip_folder(save), case_name)


@dataclass(frozen=True, kw_only=True)
class MeasurementOptions:
    """Measurement of predictions."""

    TITLE: ClassVar[str] = "measurement"

    report_regions: tuple[tuple[int, ...], ...] = option(
        "--report-regions",
        parse=parse_regions,
        default=(),
        metavar="REGIONS",
        help="unions of labels to measure, too, such as 1+2,2 (default: only the classes)",
    )
    tolerance_mm: float = option(
        "--tolerance-mm",
        parse=parse_non_negative_number,
        default=1.0,
        metavar="MM",
        help="tolerance of the surface Dice, which is weighted by area, in mm",
    )


@dataclass(frozen=True, kw_only=True)
class ComparisonOptions:
    """Runs to compare with."""

    TITLE: ClassVar[str] = "comparison"

    compare: tuple[str, ...] = option(
        "--compare",
        nargs="+",
        parse=parse_folder_name,
        default=[],
        metavar="RUN",
        help="other runs on the split to compare the results with, patient by patient (default: none)",
    )
    margin: float | None = option(
        "--margin",
        parse=parse_positive_number,
        metavar="DICE",
        help="with --compare: largest loss of mean Dice that still counts as non-inferior (default: 0.005)",
    )

    def settled_comparison(self, save: Path, split: str):
        """Return the options with the default of the margin filled in.

        Raises:
            InputError: a run to compare with is named twice or is missing.
        """
        if self.margin is not None and not self.compare:
            raise InputError("--margin", "means nothing without --compare", "add --compare")
        for name in self.compare:
            if self.compare.count(name) > 1:
                raise InputError("--compare", f"{name} is named twice", "name each run once")
            folder = save / name / split
            if not folder.is_dir():
                remedy = f"run testing_network.py or ensemble.py with -r {name} -e {split} first"
                raise InputError("--compare", f"there is no {folder}", remedy)
        return replace(self, margin=0.005 if self.margin is None else self.margin)
