"""Image files and their geometry: the one place that knows SimpleITK's axis order.

Everywhere else an image is an array (z, y, x) that runs along the patient's axes as LPS does (x to the left, y to the
back, z to the head), with `spacing_mm` in the same order.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from base.atomic_file import replacing
from base.errors import InputError
from data.voxel_files import HEADED, voxel_file

sitk.ProcessObject.SetGlobalWarningDisplay(False)

GRID_TOLERANCE = 1e-3  # mm for origins and spacings, absolute for direction cosines

_NOTE = "ITK_FileNotes"  # the description field of a NIfTI header
_COPY_OF = "copied by resample_data.py from "


@dataclass(frozen=True)
class Grid:
    """Where voxels lie: `size`, `spacing` (mm) and `origin` (mm) as (x, y, z), `direction` row by row, as in ITK."""

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image) -> "Grid":
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    @classmethod
    def from_json(cls, value: dict) -> "Grid":
        return cls(**{name: tuple(numbers) for name, numbers in value.items()})

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array, (z, y, x)."""
        return self.size[::-1]

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Spacing of the array, (z, y, x) in mm."""
        return self.spacing[::-1]

    def differs_from(self, other: "Grid") -> str:
        """Say in what the two grids differ beyond `GRID_TOLERANCE`; empty when they are the same."""
        if self.size != other.size:
            return f"size {self.size} against {other.size}"
        for name in ("spacing", "origin", "direction"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if not np.allclose(mine, theirs, rtol=0, atol=GRID_TOLERANCE):
                return f"{name} {_numbers(mine)} against {_numbers(theirs)}"
        return ""


def _numbers(values) -> str:
    return "(" + ", ".join(f"{value:.5g}" for value in values) + ")"


def read_image(path: Path | str) -> sitk.Image:
    """Read a three-dimensional image of one channel.

    Raises:
        InputError: the file is missing or unreadable, is not 3D, or has several channels.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "there is no such file", "check the path")
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        # What ITK calls a reason is the system's last error, whatever that was of.
        lines = [line.strip() for line in str(error).strip().splitlines() if not line.startswith("Reason: ")]
        reason = lines[-1]
        raise InputError(path, f"cannot be read as an image ({reason})", "replace the file by an intact copy") from None
    if image.GetDimension() != 3:
        raise InputError(path, f"has {image.GetDimension()} dimensions, not 3", "extract one 3D volume from it")
    if image.GetNumberOfComponentsPerPixel() != 1:
        channels = image.GetNumberOfComponentsPerPixel()
        raise InputError(path, f"has {channels} channels, not 1", "extract one channel from it")
    return image


def write_image(image: sitk.Image, path: Path | str) -> None:
    """Write `image`, compressed where the format can be, whole or not at all."""
    with replacing(path) as temporary:
        try:
            sitk.WriteImage(image, str(temporary), True)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise InputError(path, f"cannot be written ({reason})", "check the disk's space and rights") from None


def files_of(path: Path) -> list[Path]:
    """The files of an image: its own, and the one with the voxels where its header names another."""
    return sorted({path, voxel_file(path)}) if path.suffix in HEADED and voxel_file(path).is_file() else [path]


def write_copy(image: sitk.Image, original: Path, path: Path) -> sitk.Image:
    """Write the voxels and grid of `image`, which was read from `original`, as NIfTI; `is_copy` knows it again.

    Returns:
        The copy as it is read: NIfTI stores its grid in single precision.

    Raises:
        InputError: NIfTI cannot hold this grid.
    """
    copy = from_array(sitk.GetArrayFromImage(image), Grid.of(image))
    copy.SetMetaData(_NOTE, f"{_COPY_OF}{original.name}")
    write_image(copy, path)
    written = read_image(path)
    difference = Grid.of(written).differs_from(Grid.of(image))
    if difference:
        path.unlink()
        raise InputError(original, f"has a grid that NIfTI cannot hold ({difference})", "resample it to a regular grid")
    return written


def is_copy(path: Path) -> bool:
    """Whether `write_copy` wrote the file at `path`."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:  # not there, or no image
        return False
    return reader.HasMetaDataKey(_NOTE) and reader.GetMetaData(_NOTE).startswith(_COPY_OF)


def to_lps(image: sitk.Image) -> sitk.Image:
    """Permute and flip the axes to the order nearest to LPS; no voxel is interpolated."""
    return sitk.DICOMOrient(image, "LPS")


def to_array(image: sitk.Image) -> np.ndarray:
    """Array (z, y, x) of `image`, reoriented to LPS."""
    return sitk.GetArrayFromImage(to_lps(image))


def from_array(array: np.ndarray, grid: Grid) -> sitk.Image:
    """Image of `array` (z, y, x) on `grid`."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    return image


def to_orientation_of(array: np.ndarray, original: sitk.Image) -> sitk.Image:
    """Image of an LPS `array` (z, y, x) in the axes, and with the exact header, of `original`.

    `array` has the shape of `to_array(original)`.
    """
    code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(original.GetDirection())
    image = sitk.DICOMOrient(from_array(array, Grid.of(to_lps(original))), code)
    image.CopyInformation(original)
    return image


def checksum(array: np.ndarray) -> str:
    """SHA-256 of the shape, type and values of `array`."""
    digest = hashlib.sha256(f"{array.shape} {array.dtype}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
