"""Scans to predict: image files, folders of them, case folders and DICOM series."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from base.errors import InputError
from base.names import check_name, is_of_a_system
from data.case_folder import IMAGE
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
        path: image file, or the folder of a DICOM series.
        series: files of a DICOM series, in the order of its slices; empty for an image file.
    """

    name: str
    path: Path
    series: tuple[Path, ...] = ()

    def read(self) -> tuple[sitk.Image, Placement | None]:
        """Read the scan, in its own axis order, and the matrices of its file if that is NIfTI.

        Raises:
            InputError: it is missing or damaged, or no scan of three dimensions.
        """
        if self.series:
            return read_series(self.path, self.series), None
        image = read_image(self.path)
        return image, Placement.read(self.path)

    def sha256(self) -> str:
        """Return the SHA-256 of the content of all files of the scan.

        Raises:
            InputError: a header is damaged.
            OSError: a file cannot be read.
        """
        digest = hashlib.sha256()
        for path in self.series or files_of(self.path):
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


def find_scans(inputs: Sequence[Path], without: Path | None = None) -> FoundScans:
    """Find the scans that `inputs`, files or folders, hold.

    A folder may hold image files, slices of DICOM series, and folders that each are a case folder or hold series.

    Args:
        without: folder whose content is no input, such as that of the results.

    Raises:
        InputError: an input is missing, holds no scan, or two scans have the same name.
    """
    scans, passed_over = [], []
    for path in inputs:
        if not path.exists():
            raise InputError(path, "there is no such file or folder", "check -i")
        if not path.is_dir():
            scans.append(ScanSource(_stem(path), path))
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


def _in_folder(folder: Path, without: Path | None) -> tuple[list[ScanSource], list[Path]]:
    """Return the scans in a folder and the folders below it, and what is none."""
    entries = [path for path in sorted(folder.iterdir()) if not is_of_a_system(path.name)]
    if without is not None:
        entries = [path for path in entries if path.resolve() != without.resolve()]
    files = [path for path in entries if not path.is_dir()]
    if (folder / IMAGE).is_file():
        return [ScanSource(folder.resolve().name, folder / IMAGE)], []
    scans = [ScanSource(_stem(path), path) for path in files if _is_image(path)]
    rest = [path for path in files if not _is_image(path)]
    slices, others = _series_of(folder, rest)
    scans += slices
    for below in (path for path in entries if path.is_dir()):
        inside = [path for path in sorted(below.iterdir()) if path.is_file() and not is_of_a_system(path.name)]
        if (below / IMAGE).is_file():
            scans.append(ScanSource(below.name, below / IMAGE))
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
    name = folder.resolve().name
    scans = [
        ScanSource(name if len(known) == 1 else uid, folder, tuple(path for path in paths if path in slices))
        for uid, paths in known.items()
    ]
    return scans, others + sorted(slices - {path for scan in scans for path in scan.series})


def _is_image(path: Path) -> bool:
    return path.name.lower().endswith(ENDINGS)


def _stem(path: Path) -> str:
    """Return the name of a file without the ending of its format."""
    ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), path.suffix)
    stem = path.name[: len(path.name) - len(ending)]
    return path.resolve().parent.name if f"{stem}.nii.gz" == IMAGE else stem


def _check_name(scan: ScanSource) -> None:
    try:
        check_name(scan.name)
    except ValueError as error:
        raise InputError(scan.path, f"has no name for its results ({error})", "rename it") from None
