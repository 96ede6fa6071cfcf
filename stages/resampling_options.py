"""Options of resampling a data set. Nothing heavy is imported here."""

from argparse import ArgumentTypeError
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import ClassVar

from base.channels import UNNAMED, check_channel
from base.errors import InputError
from base.label_classes import MARKED_IN
from data.layouts import LAYOUTS
from data.layouts.acdc import FRAMES
from utils.cli.options import option
from utils.cli.value_types import (
    parse_channels,
    parse_ignore_label,
    parse_natural_number,
    parse_positive_int,
    parse_positive_number,
)

_VOXEL_SIZE = ("1.5", "1.5", "2.5")


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """The data set."""

    TITLE: ClassVar[str] = "data set"

    data: Path | None = option(
        "-d", "--data", parse=Path, help="folder of the data set (required unless --images is given)"
    )
    layout: str = option(
        "--layout",
        choices=("auto", *LAYOUTS),
        default="auto",
        help="layout of the data set; auto: recognized by its files",
    )
    frames: str | None = option(
        "--frames", choices=FRAMES, help="of the layout acdc: end of diastole or of systole (default: both)"
    )
    images: tuple[str, ...] | None = option(
        "--images",
        nargs="+",
        metavar="FOLDER | NAME=FOLDER",
        help="of the layout pairs, instead of -d: folder of the images; of several channels, one of each such as "
        "T1=images1 T2=images2",
    )
    references: Path | None = option(
        "--references", parse=Path, help="folder of the references, under the images' names (default: no references)"
    )
    channels: tuple[str, ...] | None = option(
        "--channels",
        parse=parse_channels,
        metavar="NAMES",
        help="names such as T1,T2: of the channels to take or, where the data set does not name them, of all in their "
        "order (default: all; of case folders, those that at least half of them have)",
    )
    ignore_label: int | None = option(
        "--ignore-label",
        parse=parse_ignore_label,
        metavar="LABEL",
        help="label of voxels that are not annotated, 1 to 255 (default: that of nnU-Net's dataset.json; of case "
        "folders that were resampled before, that of then; else none)",
    )
    scribbles: str | None = option(
        "--scribbles",
        choices=MARKED_IN,
        help="where every structure has an annotated voxel, in each volume or in each axial slice that shows it: what "
        "is connected to none is background in soft labels and in the choice of components (default: of case folders "
        "that were resampled before, as then; else no such claim)",
    )


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """The case folders."""

    TITLE: ClassVar[str] = "case folders"

    output: Path | None = option(
        "-o", "--output", parse=Path, help="folder to write the case folders to, originals linked (default: in place)"
    )
    voxel_size: tuple[str, ...] | None = option(
        "--voxel-size",
        nargs="+",
        metavar=("X Y Z | none", ""),
        help="size of the new voxels along x, y and z in mm; none keeps each scan's own, along all axes or, in place "
        f"of a number, along one: 1.5 1.5 none keeps the slices (default: {' '.join(_VOXEL_SIZE)})",
    )
    split: tuple[float, ...] | None = option(
        "--split",
        nargs=3,
        parse=float,
        metavar=("TRAIN", "VAL", "TEST"),
        help="distribute the cases into train, val and test in these shares, such as 70 15 15 (default: as they lie)",
    )
    split_file: Path | None = option(
        "--split-file", parse=Path, help="JSON file that lists case names under train, val and test"
    )
    patients: Path | None = option(
        "--patients",
        parse=Path,
        help="CSV or JSON file with the patient of each case, where several cases belong to one (default: from the "
        "layout, else each case is a patient)",
    )
    seed: int = option("--seed", parse=parse_natural_number, default=0, help="seed of --split")


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """The plan of a data set."""

    TITLE: ClassVar[str] = "plan"

    plan: Path | None = option(
        "--plan",
        parse=Path,
        metavar="PLAN",
        help="instead of resampling, read the data set and write its facts, proposed settings, and the commands of all "
        "stages into this folder: plan.md, plan.json, run.sh (default: resample)",
    )


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """Processes and threads."""

    TITLE: ClassVar[str] = "processes"

    jobs: int | None = option(
        "-j",
        "--jobs",
        parse=parse_positive_int,
        help="number of worker processes; with torchrun: of each of its processes (default: 1; with --plan: one for "
        "each usable core)",
    )
    threads: int | None = option(
        "--threads",
        parse=parse_positive_int,
        metavar="N",
        help="number of threads of each worker process (default: usable cores divided by the processes)",
    )


@dataclass(frozen=True, kw_only=True)
class ResamplingOptions(SourceOptions, OutputOptions, PlanOptions, WorkerOptions):
    """All options of resampling a data set."""

    @property
    def origin(self) -> Path:
        """Folder of the data set; of several, the first."""
        return self.data or next(iter(self.image_folders.values()))

    @property
    def image_folders(self) -> dict[str, Path]:
        """Folders of ``--images`` by channel; empty without the option.

        Raises:
            InputError: several folders are given, and not each has a name of its own.
        """
        folders = {}
        for text in self.images or ():
            name, equals, folder = text.partition("=")
            if not equals or Path(text).exists():
                name, folder = UNNAMED, text
            else:
                try:
                    check_channel(name)
                except ValueError as error:
                    raise InputError("--images", str(error), "rename the channel") from None
            if name in folders or (UNNAMED in folders) or (folders and name == UNNAMED):
                problem = f"{text} does not say which channel its images are"
                raise InputError("--images", problem, "give each folder a name of its own: T1=FOLDER T2=FOLDER")
            folders[name] = Path(folder)
        return folders

    @property
    def root(self) -> Path:
        """Folder of the case folders."""
        return self.output or self.origin

    @property
    def voxel_size_mm(self) -> tuple[float | None, float | None, float | None] | None:
        """Size of the new voxels (x, y, z) in mm; None keeps each scan's own, along an axis or along all.

        Raises:
            InputError: it is not a voxel size.
        """
        words = self.voxel_size or _VOXEL_SIZE
        try:
            sizes = tuple(None if word == "none" else parse_positive_number(word) for word in words)
            if len(sizes) != 3 and sizes != (None,):
                raise ValueError
        except (ValueError, ArgumentTypeError):
            problem = f"{' '.join(words)} is not a voxel size"
            raise InputError("--voxel-size", problem, "give X Y Z in mm, or none in place of any, or of all") from None
        return sizes if any(sizes) else None

    def check(self) -> None:
        """Raise InputError where options contradict each other."""
        if not (self.data or self.images):
            remedy = "name the folder of the data set, or its images with --images"
            raise InputError("-d/--data", "is missing", remedy)
        if self.data and self.images:
            raise InputError("--images", "contradicts -d", "give one of them")
        if self.references and not self.images:
            raise InputError("--references", "means nothing without --images", "name the folder of the images")
        if self.images and self.layout not in ("auto", "pairs"):
            raise InputError("--images", f"means nothing for the layout {self.layout}", "give -d instead")
        if self.split and self.split_file:
            raise InputError("--split", "contradicts --split-file", "give one of them")
        if self.split and not (min(self.split) >= 0 and 0 < sum(self.split) < inf):
            raise InputError("--split", f"{list(self.split)} are not shares", "give three numbers such as 70 15 15")
        if self.output and self.output.exists() and not self.output.is_dir():
            raise InputError(self.output, "is a file, not a folder", "name another folder with -o")
        self.voxel_size_mm, self.image_folders  # noqa: B018 - raise
        if self.plan:
            self._check_plan()

    def _check_plan(self) -> None:
        if self.output:
            raise InputError("-o", "contradicts --plan", "leave it out: run.sh of the plan names its folders")
        if self.voxel_size:
            raise InputError(
                "--voxel-size", "contradicts --plan, which proposes one", "change it in run.sh of the plan"
            )
        if self.plan.exists() and not self.plan.is_dir():
            raise InputError(self.plan, "is a file, not a folder", "name another folder with --plan")
        for folder in filter(None, (self.data, *self.image_folders.values(), self.references)):
            if self.plan.resolve().is_relative_to(folder.resolve()):
                raise InputError("--plan", f"{self.plan} lies in the data set {folder}", "name a folder outside of it")
