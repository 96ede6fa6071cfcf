"""DICOM series: the slices of a volume in a folder, found and read with SimpleITK (GDCM)."""

import locale
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from base.errors import InputError
from data.images.image_files import checked_values
from data.images.image_geometry import SIMPLEITK, check_right_angles, sheared

_PREAMBLE_BYTES, _MAGIC = 128, b"DICM"
_LARGEST_DEVIATION = 0.05  # of the distance between two slices, as a share of the usual one
_LARGEST_SLANT = 1e-3  # of the stack against the slices' normal: mm aside for each mm along it
_PIXELS = b"\xe0\x7f\x10\x00"  # tag of the pixel data, (7fe0,0010) in little-endian order
_POSITION, _ORIENTATION = "0020|0032", "0020|0037"
_ROWS, _COLUMNS, _BITS = "0028|0010", "0028|0011", "0028|0100"
_THICKNESS = "0018|0050"
_LARGEST_SHARE = 1e-3  # by which the voxels of two slices may differ


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
        InputError: a slice is damaged, missing or there twice, slices lie in several planes or are stacked at a slant
            (as of a CT with a tilted gantry), their voxels differ, a single one has no thickness, or it is no volume.
    """
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(file) for file in files])
    try:
        with same_locale():
            headers = [_header(file) for file in files]
            if len(files) > 1:  # a volume in one file says by itself where its slices lie
                _check_places(folder, files, headers)
            if len({header.GetPixelID() for header in headers}) > 1:
                # Slices with their own rescaling (PET, MR) may differ in type, and take that of the first by default.
                reader.SetOutputPixelType(sitk.sitkFloat64)
            image = reader.Execute()
            if len(files) == image.GetDepth() == 1:  # GDCM takes 1 mm
                image.SetSpacing((*image.GetSpacing()[:2], _thickness(files[0], headers[0])))
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


def _header(file: Path) -> sitk.ImageFileReader:
    """Return a reader that has read the header of a file."""
    header = sitk.ImageFileReader()
    header.SetFileName(str(file))
    header.ReadImageInformation()
    return header


def _thickness(file: Path, header: sitk.ImageFileReader) -> float:
    """Return the thickness of a slice in mm."""
    try:
        thickness = float(header.GetMetaData(_THICKNESS))
    except (RuntimeError, ValueError):  # it is not there, or holds something else
        thickness = 0.0
    if not 0 < thickness < np.inf:
        raise InputError(file, "is a single slice that does not say how thick it is", "export the series again")
    return thickness


def _check_places(folder: Path, files: Sequence[Path], headers: Sequence[sitk.ImageFileReader]) -> None:
    """Raise InputError unless the slices are whole, alike, parallel, evenly spaced and stacked at right angles."""
    sizes_mm = np.array([header.GetSpacing()[:2] for header in headers])
    if np.abs(sizes_mm / sizes_mm[0] - 1).max() > _LARGEST_SHARE:
        problem = f"holds a series whose voxels are {sizes_mm.min():.4g} to {sizes_mm.max():.4g} mm wide"
        raise InputError(folder, problem, "export the volume alone")
    places, normals = [], []
    for file, header in zip(files, headers):
        normals.append(np.cross(*_numbers(file, header, _ORIENTATION, 6).reshape(2, 3)))
        places.append(_numbers(file, header, _POSITION, 3))
        _check_whole(file, header)
    along = np.array(places) @ normals[0]
    steps = np.abs(np.diff(along))
    usual = float(np.median(steps))
    if np.abs(np.array(normals) - normals[0]).max() > 1e-3:
        raise InputError(folder, "holds a series whose slices are not parallel", "export the volume alone")
    if usual == 0 or np.abs(steps - usual).max() > _LARGEST_DEVIATION * usual:
        problem = f"holds a series whose slices lie {steps.min():.4g} to {steps.max():.4g} mm apart"
        raise InputError(folder, problem, "a slice may be missing or there twice: export the series again")
    ways = np.array(places) - places[0]
    heights = ways @ normals[0]
    aside = np.linalg.norm(ways - np.outer(heights, normals[0]), axis=1)
    if (aside > _LARGEST_SLANT * (np.abs(heights) + usual)).any():
        raise sheared(folder, f"its slices lie up to {aside.max():.3g} mm aside of a straight stack", SIMPLEITK)


def _numbers(file: Path, header: sitk.ImageFileReader, key: str, count: int) -> np.ndarray:
    """Return the `count` finite numbers of an element of the header."""
    try:
        numbers = np.array([float(word) for word in header.GetMetaData(key).split("\\")])
    except (RuntimeError, ValueError):  # it is not there, or holds something else
        numbers = np.array([])
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise InputError(file, "does not say where its slice lies", "export the series again")
    return numbers


def _check_whole(file: Path, header: sitk.ImageFileReader) -> None:
    """Raise InputError if the pixels of an uncompressed slice are cut off, which GDCM fills up without a word."""
    try:
        rows, columns, bits = (int(header.GetMetaData(key)) for key in (_ROWS, _COLUMNS, _BITS))
    except (RuntimeError, ValueError):
        return
    expected, content = rows * columns * bits // 8, file.read_bytes()
    place = content.find(_PIXELS)
    while place >= 0:
        for start in (place + 8, place + 12):  # of values without and with their type in the file
            length = int.from_bytes(content[start - 4 : start], "little")
            if length in (expected, expected + 1):
                if len(content) < start + expected:
                    raise InputError(file, "is truncated", "export the series again")
                return
        place = content.find(_PIXELS, place + 1)
