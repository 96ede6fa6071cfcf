"""Image files and their geometry.

Images of SimpleITK, and `Grid`, which describes them, are (x, y, z). Arrays, their `shape` and `spacing_mm` are
(z, y, x), in LPS orientation: x to the patient's left, y to the back, z to the head.
"""

import errno
import hashlib
import os
import resource
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from base.atomic_file import replacing
from base.errors import InputError
from data.images.image_geometry import NIBABEL, SIMPLEITK, Placement, check_right_angles, sheared
from data.images.image_headers import read_header
from data.images.intact_files import check_intact
from data.images.lower_case import in_lower_case

sitk.ProcessObject.SetGlobalWarningDisplay(False)

# In voxels for positions and spacings, absolute for direction cosines; single-precision quaternions allow no smaller.
GRID_TOLERANCE = 1e-3

_NAME_CHANNELS = "if it holds channels, name them with --channels of stage 1, or give predict.py a file of each"
_LARGEST_VALUE = 1e15  # largest intensity accepted; squares of larger values may overflow float32
NOTE = "ITK_FileNotes"  # SimpleITK's key for the description field of a NIfTI header
_SIMPLEITK_ERRORS = (RuntimeError, OverflowError, MemoryError)  # raised by SimpleITK when it reads a file
_SCALARS = {
    *(sitk.sitkInt8, sitk.sitkUInt8, sitk.sitkInt16, sitk.sitkUInt16, sitk.sitkInt32, sitk.sitkUInt32),
    *(sitk.sitkInt64, sitk.sitkUInt64, sitk.sitkFloat32, sitk.sitkFloat64),
}


@dataclass(frozen=True)
class Grid:
    """The geometry of an image as in ITK: `size`, `spacing` (mm), `origin` (mm) as (x, y, z), `direction` row-major."""

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
        """The shape of the array, (z, y, x)."""
        return self.size[::-1]

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """The spacing of the array, (z, y, x) in mm."""
        return self.spacing[::-1]

    def indices_of(self, other: "Grid") -> list[np.ndarray]:
        """Return the voxel centres of `other`, a grid of the same direction, as continuous indices of this grid.

        Returns:
            for each axis (z, y, x), the continuous indices of the centres along that axis.
        """
        shift_mm = np.linalg.solve(np.reshape(self.direction, (3, 3)), np.subtract(other.origin, self.origin))
        along_xyz = [
            np.round((shift + np.arange(count) * step) / spacing, 9)  # rounding errors must not move ties at 0.5
            for shift, count, step, spacing in zip(shift_mm, other.size, other.spacing, self.spacing)
        ]
        return along_xyz[::-1]

    def differs_from(self, other: "Grid") -> str:
        """Describe the first difference of the two grids beyond `GRID_TOLERANCE`; return "" if they are equal."""
        if self.size != other.size:
            return f"size {self.size} against {other.size}"
        steps = np.abs(np.subtract(self.spacing, other.spacing))
        # Differences of spacing accumulate along an axis.
        by_spacing = steps * np.maximum(1, np.subtract(self.size, 1)) / self.spacing
        if by_spacing.max() >= GRID_TOLERANCE:
            axis = int(by_spacing.argmax())
            return f"spacing by {steps[axis]:.3g} mm, {by_spacing[axis]:.3g} voxels along the axis {'xyz'[axis]}"
        turns = np.abs(np.subtract(self.direction, other.direction)).max()
        if turns >= GRID_TOLERANCE:
            return f"direction cosines by {turns:.3g}"
        shift_mm = np.subtract(self.origin, other.origin)
        by_origin = np.abs(np.linalg.solve(np.reshape(self.direction, (3, 3)), shift_mm)) / self.spacing
        if by_origin.max() >= GRID_TOLERANCE:
            return f"origin by {np.linalg.norm(shift_mm):.3g} mm, {by_origin.max():.3g} voxels"
        return ""


def read_image(path: Path | str) -> sitk.Image:
    """Read a 3D image of one channel, with all checks for untrusted files.

    Raises:
        InputError: the file is missing, damaged or truncated, its header does not match its data or declares more
            voxels than fit into memory, it contains NaN or infinity, is not 3D, or has several channels.
    """
    path = Path(path)
    header = read_header(path)
    check_intact(path, header)
    return _read_checked(path, header.size)


def read_component(path: Path, number: int, count: int) -> sitk.Image:
    """Read channel `number` (from 0) of an image that holds `count`: along a fourth axis, or in each voxel.

    Raises:
        InputError: as `read_image`, or it holds another number of channels.
    """
    header = read_header(path)
    check_intact(path, header)
    with in_lower_case(path) as name:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(name))
        try:
            reader.ReadImageInformation()
            size = reader.GetSize()
            found = size[3] if len(size) == 4 else reader.GetNumberOfComponents()
            if found != count or len(size) not in (3, 4):
                problem = f"holds {found} channels, but {count} are named"
                raise InputError(path, problem, "name all of them in order with --channels")
            if len(size) == 4:
                reader.SetExtractIndex([0, 0, 0, number])
                reader.SetExtractSize([*size[:3], 0])
                image = reader.Execute()
            else:
                image = reader.Execute()
                image = sitk.VectorIndexSelectionCast(image, number) if count > 1 else image
        except _SIMPLEITK_ERRORS as error:
            raise _unreadable(path, error) from None
    _check_geometry(path, image)
    return checked_values(path, image)


def read_known_image(path: Path, sha256: str, problem: str, remedy: str) -> sitk.Image:
    """Read an image and compare the `checksum` of its voxels with the expected `sha256`.

    Raises:
        InputError: as `read_image`, or with `problem` and `remedy` if the checksums differ.
    """
    image = _read_checked(path, read_header(path).size)
    if checksum(sitk.GetArrayViewFromImage(image)) != sha256:
        raise InputError(path, problem, remedy)
    return image


def read_grid(path: Path) -> Grid:
    """Read the grid of an image without its voxels.

    Raises:
        InputError: as `read_image`, for problems that the header shows.
    """
    with in_lower_case(path) as name:
        reader = _reader_of(path, read_header(path).size, name)
    return Grid(reader.GetSize(), reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection())


def _read_checked(path: Path, size: tuple[int, ...]) -> sitk.Image:
    """Read an image whose header declares `size`, and check the result of SimpleITK."""
    with in_lower_case(path) as name:
        reader = _reader_of(path, size, name)
        try:
            image = reader.Execute()
        except _SIMPLEITK_ERRORS as error:
            raise _unreadable(path, error) from None
    return checked_values(path, image)


def checked_values(path: Path, image: sitk.Image) -> sitk.Image:
    """Return the image; raise InputError if its values are not plain, finite numbers."""
    if image.GetPixelID() not in _SCALARS:
        raise InputError(path, f"holds values of type {image.GetPixelIDTypeAsString()}", "store it as plain numbers")
    values = sitk.GetArrayViewFromImage(image)
    if values.dtype.kind == "f" and not -_LARGEST_VALUE <= values.min() <= values.max() <= _LARGEST_VALUE:  # or NaN
        problem = f"holds values that are not finite (NaN or infinity), or larger than {_LARGEST_VALUE:g}"
        raise InputError(path, problem, "repair or remove the file")
    return image


def _reader_of(path: Path, size: tuple[int, ...], name: Path) -> sitk.ImageFileReader:
    """Return a reader that has read the header of `path` (declaring `size`), through the lower-case path `name`."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(name))
    try:
        reader.ReadImageInformation()
    except _SIMPLEITK_ERRORS as error:
        raise _unreadable(path, error) from None
    _check_information(path, reader, size)
    return reader


def _unreadable(path: Path, error: Exception) -> InputError:
    # The "Reason" in ITK's messages is the last system error, which may be unrelated.
    lines = [line.strip() for line in str(error).strip().splitlines() if not line.startswith("Reason: ")]
    reason = lines[-1] if lines else type(error).__name__
    if "orthonormal" in reason:  # ITK's tolerance is slightly smaller than that of check_nifti
        return sheared(path, "its axes are not at right angles", NIBABEL)
    return InputError(path, f"cannot be read as an image ({reason})", "replace the file by an intact copy")


def _check_information(path: Path, reader: sitk.ImageFileReader, size: tuple[int, ...]) -> None:
    if reader.GetDimension() != 3:
        problem = f"has {reader.GetDimension()} dimensions, not 3"
        raise InputError(path, problem, f"{_NAME_CHANNELS}, or extract one 3D volume from it, as from a time series")
    channels = reader.GetNumberOfComponents()
    if channels != 1:
        raise InputError(path, f"has {channels} channels, not 1", f"{_NAME_CHANNELS}, or extract one from it")
    if sorted(n for n in reader.GetSize() if n > 1) != sorted(n for n in size if n > 1):
        problem = f"is read with size {reader.GetSize()}, but its header declares {size}"
        raise InputError(path, problem, "replace the file by an intact copy")
    _check_geometry(path, reader)


def _check_geometry(path: Path, image: sitk.ImageFileReader | sitk.Image) -> None:
    spacing, direction = image.GetSpacing(), np.reshape(image.GetDirection(), (3, 3))
    numbers_are_finite = np.isfinite([*spacing, *image.GetOrigin(), *direction.ravel()]).all()
    if not numbers_are_finite or min(spacing) <= 0 or abs(np.linalg.det(direction)) < 1e-6:
        raise InputError(path, "has an invalid geometry", "correct spacing, origin and direction")
    check_right_angles(path, direction.T, SIMPLEITK)


def write_image(
    image: sitk.Image,
    path: Path | str,
    note: str = "",
    placement: Placement | None = None,
    verify_more: Callable[[Path], None] = lambda temporary: None,
) -> None:
    """Write `image` as NIfTI atomically, and verify the written file, because SimpleITK does not report a full disk.

    Args:
        note: text of the description field, at most 79 ASCII characters; see `data.images.noted_images`.
        placement: the qform and sform of the file whose grid `image` has, because not all programs use the same one of
            the two matrices.
        verify_more: called with the temporary path after its voxels were verified; raises if another check fails.
    """
    expected = zlib.crc32(np.ascontiguousarray(sitk.GetArrayViewFromImage(image)).data)

    def verify(temporary: Path) -> None:
        try:
            is_whole = check_intact(temporary, read_header(temporary)) == expected
        except InputError:
            is_whole = False
        if not is_whole:
            raise _reason_of_truncation(temporary)
        difference = read_grid(temporary).differs_from(Grid.of(image)) if placement else ""
        if difference:
            raise InputError(
                path, f"cannot be written on the grid of its scan ({difference})", "run resample_data.py again"
            )
        verify_more(temporary)

    with replacing(path, verify) as temporary:
        if placement:
            placement.write(sitk.GetArrayViewFromImage(image), note, temporary)
            return
        if note:
            image = sitk.Image(image)  # shares the voxels
            image.SetMetaData(NOTE, note)
        try:
            sitk.WriteImage(image, str(temporary), True)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise InputError(path, f"cannot be written ({reason})", "check disk space and permissions") from None


def _reason_of_truncation(path: Path) -> OSError:
    """Return the most likely reason why the file at `path` was written incompletely."""
    disk, limit = os.statvfs(path.parent), resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit != resource.RLIM_INFINITY and path.stat().st_size >= limit:
        number = errno.EFBIG
    else:
        number = errno.ENOSPC if disk.f_bavail * disk.f_frsize < 2**20 else errno.EIO
    return OSError(number, os.strerror(number))


def files_of(path: Path) -> list[Path]:
    """Return the files of an image: its header and, if separate, the file of its voxels.

    Raises:
        InputError: the header is damaged, or names a file in another folder.
    """
    return sorted({path, read_header(path).file}) if path.suffix.lower() in (".mhd", ".nrrd") else [path]


def lps_grid(image: sitk.Image) -> Grid:
    """Return the grid of `image` after its axes are permuted and flipped to the orientation closest to LPS."""
    order, flipped = _axes_to_lps(image)
    direction = np.reshape(image.GetDirection(), (3, 3))[:, order]
    permuted = Grid(
        tuple(image.GetSize()[axis] for axis in order),
        tuple(image.GetSpacing()[axis] for axis in order),
        image.GetOrigin(),
        tuple(direction.ravel().tolist()),
    )
    first = [size - 1 if flip else 0 for size, flip in zip(permuted.size, flipped)]
    origin = _geometry_only(permuted).TransformIndexToPhysicalPoint(first)
    direction = direction * np.where(flipped, -1.0, 1.0)
    return Grid(permuted.size, permuted.spacing, origin, tuple(direction.ravel().tolist()))


def _axes_to_lps(image: sitk.Image) -> tuple[list[int], list[bool]]:
    """Return, for each LPS axis (x, y, z), the closest axis of `image` and whether it points the opposite way."""
    code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    order = [next(axis for axis, letter in enumerate(code) if letter in pair) for pair in ("LR", "PA", "SI")]
    return order, [code[axis] not in "LPS" for axis in order]


def _geometry_only(grid: Grid) -> sitk.Image:
    """Return an image of one voxel with the geometry of `grid`, to transform indices without allocating voxels."""
    image = sitk.Image([1] * 3, sitk.sitkUInt8)
    _set_grid(image, grid)
    return image


def lps_view(image: sitk.Image) -> np.ndarray:
    """Return a read-only view of the voxels of `image` as an LPS array (z, y, x), valid as long as `image` exists."""
    order, flipped = _axes_to_lps(image)
    array = sitk.GetArrayViewFromImage(image).transpose([2 - axis for axis in order[::-1]])
    return array[tuple(slice(None, None, -1 if flip else 1) for flip in flipped[::-1])]


def to_lps(image: sitk.Image) -> sitk.Image:
    """Permute and flip the axes of `image` to the orientation closest to LPS, without interpolation."""
    grid = lps_grid(image)
    return image if grid == Grid.of(image) else from_array(to_array(image), grid)


def to_array(image: sitk.Image) -> np.ndarray:
    """Return the voxels of `image` as an array (z, y, x), reoriented to LPS."""
    return _contiguous(lps_view(image))


def _contiguous(view: np.ndarray) -> np.ndarray:
    """Return a contiguous copy of `view` (z, y, x)."""
    copy = np.empty(view.shape, view.dtype)
    for row in range(view.shape[1]):  # one plane at a time fits the processor's cache: eight times as fast
        copy[:, row] = view[:, row]
    return copy


def from_array(array: np.ndarray, grid: Grid) -> sitk.Image:
    """Return an image of `array` (z, y, x) on `grid`."""
    image = sitk.GetImageFromArray(array)
    _set_grid(image, grid)
    return image


def _set_grid(image: sitk.Image, grid: Grid) -> None:
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)


def to_orientation_of(array: np.ndarray, original: sitk.Image) -> sitk.Image:
    """Return an image of an LPS `array` (z, y, x) with the axis order and the exact geometry of `original`.

    `array` has the shape of `to_array(original)`.
    """
    order, flipped = _axes_to_lps(original)
    array = array[tuple(slice(None, None, -1 if flip else 1) for flip in flipped[::-1])]
    image = sitk.GetImageFromArray(_contiguous(array.transpose(np.argsort([2 - axis for axis in order[::-1]]))))
    image.CopyInformation(original)
    return image


def checksum(array: np.ndarray) -> str:
    """Return the SHA-256 of the shape, type and values of `array`."""
    digest = hashlib.sha256(f"{array.shape} {array.dtype}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
