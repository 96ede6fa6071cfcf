"""DICOM series: the slices of a volume in a folder, found and read with SimpleITK (GDCM)."""

import locale
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from base.errors import InputError
from data.images.image_files import checked_values
from data.images.image_geometry import SIMPLEITK, check_right_angles

_PREAMBLE_BYTES, _MAGIC = 128, b"DICM"
_LARGEST_DEVIATION = 0.05  # of the distance between two slices, as a share of the usual one
_POSITION, _ORIENTATION = "0020|0032", "0020|0037"


def is_dicom(path: Path) -> bool:
    """Return whether a file begins as DICOM files do."""
    try:
        with path.open("rb") as file:
            file.seek(_PREAMBLE_BYTES)
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def series_in(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Return the files of each series in a folder (not below it), in the order of the slices, by the series' UID."""
    reader = sitk.ImageSeriesReader
    with same_locale():
        names = reader.GetGDCMSeriesIDs(str(folder))
        return {name: tuple(map(Path, reader.GetGDCMSeriesFileNames(str(folder), name))) for name in names}


@contextmanager
def same_locale() -> Iterator[None]:
    """Restore the locale of this process, which GDCM sets to C."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


def read_series(folder: Path, files: tuple[Path, ...]) -> sitk.Image:
    """Read a series as one volume.

    Raises:
        InputError: a slice is damaged, missing or there twice, slices lie in several planes, or it is no volume.
    """
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(file) for file in files])
    try:
        with same_locale():
            _check_places(folder, files)
            image = reader.Execute()
    except RuntimeError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        problem = f"cannot be read as a series of {len(files)} slices ({lines[-1].strip()})"
        raise InputError(folder, problem, "export the series again") from None
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[..., 0]
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(folder, "holds a series that is no volume of one channel", "export the series again")
    check_right_angles(folder, np.reshape(image.GetDirection(), (3, 3)).T, SIMPLEITK)
    return checked_values(folder, image)


def _check_places(folder: Path, files: tuple[Path, ...]) -> None:
    """Raise InputError unless the slices are parallel and evenly spaced; a volume in one file says it by itself."""
    if len(files) == 1:
        return
    places, normals = [], []
    for file in files:
        header = sitk.ImageFileReader()
        header.SetFileName(str(file))
        header.ReadImageInformation()
        if not all(header.HasMetaDataKey(key) for key in (_POSITION, _ORIENTATION)):
            raise InputError(file, "does not say where its slice lies", "export the series again")
        rows = np.array([float(word) for word in header.GetMetaData(_ORIENTATION).split("\\")]).reshape(2, 3)
        normals.append(np.cross(*rows))
        places.append([float(word) for word in header.GetMetaData(_POSITION).split("\\")])
    along = np.array(places) @ normals[0]
    steps = np.abs(np.diff(along))
    usual = float(np.median(steps))
    if np.abs(np.array(normals) - normals[0]).max() > 1e-3:
        raise InputError(folder, "holds a series whose slices are not parallel", "export the volume alone")
    if usual == 0 or np.abs(steps - usual).max() > _LARGEST_DEVIATION * usual:
        problem = f"holds a series whose slices lie {steps.min():.4g} to {steps.max():.4g} mm apart"
        raise InputError(folder, problem, "a slice may be missing or there twice: export the series again")
