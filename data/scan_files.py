"""Scans to predict: image files, folders of them, case folders and DICOM series."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from base.channels import UNNAMED, check_channel
from base.errors import InputError
from base.names import check_name, is_of_a_system
from data.case_folder import IMAGE, RECORD, image_name
from data.cases import Case
from data.images.dicom_series import is_dicom, read_series, series_in
from data.images.image_files import files_of, read_image
from data.images.image_geometry import Placement

ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
_NOTED = 5  # files that are named of those passed over


@dataclass(frozen=True)
class ScanSource:
    """Where a scan is read from.

    Attributes:
        name: of the scan, for the files that are written.
        images: image file of each channel, or the folder of a DICOM series. The first has the grid of the prediction.
        series: files of a DICOM series, in the order of its slices; empty for image files.
    """

    name: str
    images: Mapping[str, Path]
    series: tuple[Path, ...] = ()

    @property
    def path(self) -> Path:
        """The image of the first channel, or the folder of a DICOM series."""
        return next(iter(self.images.values()))

    def read(self) -> tuple[dict[str, sitk.Image], Placement | None]:
        """Read the images of the scan by channel, in their own axis order, and the matrices of the first if NIfTI.

        Raises:
            InputError: an image is missing or damaged, or has not three dimensions.
        """
        if self.series:
            return {UNNAMED: read_series(self.path, self.series)}, None
        images = {channel: read_image(path) for channel, path in self.images.items()}
        return images, Placement.read(self.path)

    def sha256(self) -> str:
        """Return the SHA-256 of the content of all files of the scan.

        Raises:
            InputError: a header is damaged.
            OSError: a file cannot be read.
        """
        digest = hashlib.sha256()
        files = self.series or [file for path in self.images.values() for file in files_of(path)]
        digest.update(" ".join(self.images).encode())
        for path in files:
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
        return digest.hexdigest()


@dataclass(frozen=True)
class FoundScans:
    """Scans in the order in which they were named, and files and folders that hold none."""

    scans: list[ScanSource]
    passed_over: list[Path]

    def note(self) -> str:
        """Return what was passed over, in one line; empty for nothing."""
        if not self.passed_over:
            return ""
        more = f" and {len(self.passed_over) - _NOTED} more" if len(self.passed_over) > _NOTED else ""
        return f"passed over, no scans: {', '.join(map(str, self.passed_over[:_NOTED]))}{more}"


def find_scans(inputs: Sequence[str], without: Path | None = None) -> FoundScans:
    """Find the scans that `inputs` name: files, folders, or the images of one scan, ``T1=a.nii.gz T2=b.nii.gz``.

    A folder may hold image files, slices of DICOM series, and folders that each are a case folder or hold series.

    Args:
        without: folder whose content is no input, such as that of the results.

    Raises:
        InputError: an input is missing, holds no scan, or two scans have the same name.
    """
    scans, passed_over = [], []
    channels, paths = _named_channels(inputs)
    if channels:
        first = next(iter(channels.values()))
        is_of_case = first.name == image_name(next(iter(channels)))
        return FoundScans([ScanSource(_folder_name(first) if is_of_case else _stem(first), channels)], [])
    for path in paths:
        if not path.exists():
            raise InputError(path, "there is no such file or folder", "check -i")
        if not path.is_dir():
            scans.append(ScanSource(_stem(path), {UNNAMED: path}))
            continue
        found, others = _in_folder(path, without)
        if not found:
            known = ", ".join(ENDINGS)
            raise InputError(path, "holds no scan", f"name scans ({known}), folders of them or of a DICOM series")
        scans += found
        passed_over += others
    by_name: dict[str, ScanSource] = {}
    for scan in scans:
        other = by_name.setdefault(scan.name, scan)
        if other is not scan:
            raise InputError(scan.path, f"is called {scan.name}, as is {other.path}", "rename one, or predict it apart")
        _check_name(scan)
    return FoundScans(scans, passed_over)


def _named_channels(inputs: Sequence[str]) -> tuple[dict[str, Path], list[Path]]:
    """Return the images of the one scan that `inputs` name by channels; else the paths that they are.

    Raises:
        InputError: some name channels and others not, or an image is missing.
    """
    channels = {}
    for text in inputs:
        name, equals, path = text.partition("=")
        if equals and not Path(text).exists():
            try:
                check_channel(name)
            except ValueError as error:
                raise InputError("--input", str(error), "write T1=a.nii.gz T2=b.nii.gz") from None
            if name in channels or not Path(path).is_file():
                problem = f"channel {name} is named twice" if name in channels else f"there is no file {path}"
                raise InputError("--input", problem, "name one image of each channel")
            channels[name] = Path(path)
    if channels and len(channels) < len(inputs):
        raise InputError(
            "--input", "names channels of a scan and other scans", "predict one scan of channels at a time"
        )
    return channels, [Path(text) for text in inputs]


def _case_images(folder: Path) -> dict[str, Path]:
    """Return the images of a case folder by channel, that of the grid first; none if it is no case folder."""
    if (folder / IMAGE).is_file():
        return {UNNAMED: folder / IMAGE}
    before, _, after = image_name("*").partition("*")
    found = {path.name[len(before) : -len(after)] for path in folder.glob(image_name("*")) if path.is_file()}
    names = [name for name in sorted(found) if _is_channel(name)]
    if names and (folder / RECORD).is_file():
        known = Case(folder).channels
        names = [name for name in known if name in names] + [name for name in names if name not in known]
    return {name: folder / image_name(name) for name in names}


def _is_channel(name: str) -> bool:
    try:
        return bool(check_channel(name))
    except ValueError:
        return False


def _in_folder(folder: Path, without: Path | None) -> tuple[list[ScanSource], list[Path]]:
    """Return the scans in a folder and the folders below it, and what is none."""
    entries = [path for path in sorted(folder.iterdir()) if not is_of_a_system(path.name)]
    if without is not None:
        entries = [path for path in entries if path.resolve() != without.resolve()]
    files = [path for path in entries if not path.is_dir()]
    if images := _case_images(folder):
        return [ScanSource(absolute(folder).name, images)], []
    scans = [ScanSource(_stem(path), {UNNAMED: path}) for path in files if _is_image(path)]
    rest = [path for path in files if not _is_image(path)]
    slices, others = _series_of(folder, rest)
    scans += slices
    for below in (path for path in entries if path.is_dir()):
        inside = [path for path in sorted(below.iterdir()) if path.is_file() and not is_of_a_system(path.name)]
        if images := _case_images(below):
            scans.append(ScanSource(below.name, images))
            continue
        found, _ = _series_of(below, inside)
        scans += found
        others += [] if found else [below]
    return scans, others


def _series_of(folder: Path, files: Iterable[Path]) -> tuple[list[ScanSource], list[Path]]:
    """Return the DICOM series among `files` of a folder, and the other files."""
    slices = {path for path in files if is_dicom(path)}
    others = [path for path in files if path not in slices]
    if not slices:
        return [], others
    known = series_in(folder)
    name = absolute(folder).name
    scans = [
        ScanSource(name if len(known) == 1 else uid, {UNNAMED: folder}, tuple(path for path in paths if path in slices))
        for uid, paths in known.items()
    ]
    return scans, others + sorted(slices - {path for scan in scans for path in scan.series})


def _is_image(path: Path) -> bool:
    return path.name.lower().endswith(ENDINGS)


def _stem(path: Path) -> str:
    """Return the name of a file without the ending of its format."""
    ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), path.suffix)
    stem = path.name[: len(path.name) - len(ending)]
    return _folder_name(path) if f"{stem}.nii.gz" == IMAGE else stem


def _folder_name(path: Path) -> str:
    """Return the name of the folder of a file as it is named, not that of the place to which a link leads."""
    return absolute(path).parent.name


def absolute(path: Path) -> Path:
    """Return the absolute path of a file or folder, without ``..``; links are kept."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps .., Path.resolve follows links


def _check_name(scan: ScanSource) -> None:
    try:
        check_name(scan.name)
    except ValueError as error:
        raise InputError(scan.path, f"has no name for its results ({error})", "rename it") from None
