"""Options of predicting single scans. Nothing heavy is imported here."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from base.errors import InputError
from base.label_classes import parse_titles
from utils.cli.common_options import DeviceOptions, VolumeOptions
from utils.cli.options import flag, option
from utils.cli.value_types import parse_natural_number, several_files

_ENDING = ".nii.gz"  # of a label map that is named itself
_OTHER_ENDINGS = (".nii", ".mha", ".mhd", ".nrrd")


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """Labels of a prediction."""

    TITLE: ClassVar[str] = "labels"

    keep_largest: int | None = option(
        "--keep-largest",
        parse=parse_natural_number,
        metavar="N",
        help="number of largest connected components of each class to keep; 0 keeps all (default: what was chosen for "
        "the network on validation cases, else 0)",
    )
    classes_as: tuple[tuple[str, str], ...] = option(
        "--classes-as",
        parse=parse_titles,
        default=(),
        metavar="NAMES",
        help="what the classes are called, such as 1=kidney,2=tumour, if the network does not say it (default: its own "
        "names, else labels)",
    )


@dataclass(frozen=True, kw_only=True)
class PredictorOptions(LabelOptions, VolumeOptions, DeviceOptions):
    """How networks predict a scan, each with a default."""


@dataclass(frozen=True, kw_only=True)
class ScanOptions:
    """Scans, and networks that predict them."""

    TITLE: ClassVar[str] = "scans"

    input: tuple[str, ...] = option(
        "-i",
        "--input",
        nargs="+",
        required=True,
        metavar="SCAN",
        help="scans: files (.nii, .nii.gz, .mha, .mhd, .nrrd), folders of them, case folders, or DICOM series (folders "
        "of slices); or the images of one scan of several channels, T1=a.nii.gz T2=b.nii.gz",
    )
    output: Path = option(
        "-o",
        "--output",
        parse=Path,
        required=True,
        help="folder for label maps, overlays and tables; or FILE.nii.gz, for the label map of one scan alone",
    )
    weights: tuple[str, ...] = option(
        "-w",
        "--weights",
        nargs="+",
        required=True,
        metavar="FILE",
        help="networks: weights (.pth), or files of export_network.py (.onnx), whose mean predicts if there are "
        "several; or the folder of an ensemble's run, SAVE/RUN",
    )
    within: tuple[str, ...] = option(
        "--within",
        nargs="+",
        default=[],
        metavar="FILE",
        help="networks of a first stage: outside the foreground that they predict, all is background (default: one "
        "stage)",
    )
    save_probabilities: bool = flag(
        "--save-probabilities", help="write the probability of each class on the scan's grid, too"
    )
    save_uncertainty: bool = flag(
        "--save-uncertainty",
        help="write the uncertainty of a student that estimates it, or the largest standard deviation over several "
        "networks, on the scan's grid, too",
    )
    overwrite: bool = flag("--overwrite", recorded=False, help="predict finished scans again")


@dataclass(frozen=True, kw_only=True)
class ScanPredictionOptions(ScanOptions, PredictorOptions):
    """All options of predicting single scans."""

    def check(self) -> None:
        """Raise InputError where files are missing or options contradict each other."""
        several_files("--weights", self.weights)
        several_files("--within", self.within)
        if self.output_file and (self.save_probabilities or self.save_uncertainty):
            problem = "names the label map of one scan, and more is to be written"
            raise InputError(self.output, problem, "name a folder with -o")
        if self.output.name.lower().endswith(_OTHER_ENDINGS) and not self.output.is_dir():
            raise InputError(self.output, "is the name of an image", f"write it with {_ENDING}, or name a folder")
        if self.output.exists() and self.output.is_dir() == bool(self.output_file):
            raise InputError(self.output, "is a folder" if self.output_file else "is not a folder", "check -o")

    @property
    def output_file(self) -> Path | None:
        """Path of the label map of one scan; None where results go to a folder."""
        return self.output if self.output.name.lower().endswith(_ENDING) else None
