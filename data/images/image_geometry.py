"""Checks of the geometry in image headers, and exact preservation of NIfTI qform and sform.

Volumes, distances and resampling require voxels of known size whose axes are at right angles. Other headers are
refused with a specific remedy, because another copy of the same file would not help.
"""

import gzip
from pathlib import Path

import nibabel
import numpy as np

from base.errors import InputError

_LEAST_VOLUME = 1e-6  # determinant of three unit axes, below which the matrix is singular
_LARGEST_COSINE = 2e-3  # between two axes at right angles, allowing for rounding: about a tenth of a degree
_LARGEST_RATIO = 1.01  # between two voxel sizes that are considered equal
_BYTES_AT_ONCE = 2**22
_SPACING_TOOLS = "SimpleITK: image.SetSpacing; 3D Slicer: Volumes, Image Spacing"
_PLACEMENT = ("qform_code", "sform_code", "xyzt_units", "quatern_b", "quatern_c", "quatern_d")
_PLACEMENT += ("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z")


def check_voxel_sizes(path: Path, sizes_mm, way: str = _SPACING_TOOLS) -> None:
    """Raise InputError if a voxel size is 0; `way` names the header field or the tools to set it."""
    if any(mm == 0 for mm in sizes_mm):
        sizes = ", ".join(f"{mm:g}" for mm in sizes_mm)
        problem = f"does not say how large a voxel is (its voxel sizes are {sizes} mm)"
        raise InputError(path, problem, f"write the true sizes into its header ({way}), or convert the scan again")


def check_axes(path: Path, axes, way: str) -> None:
    """Raise InputError if the rows of `axes` (3, 3), of any length, are linearly dependent.

    Args:
        way: how to correct the axes, for the error message.
    """
    lengths = np.linalg.norm(axes, axis=1, keepdims=True)
    if not lengths.all() or abs(np.linalg.det(axes / lengths)) < _LEAST_VOLUME:
        raise InputError(path, "has a singular matrix: its axes are not three directions", way)


def check_right_angles(path: Path, axes, resampler: str) -> None:
    """Raise InputError if the rows of `axes` (3, 3), of any nonzero length, are not at right angles.

    Args:
        resampler: a function that can resample the file, for the error message.
    """
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    cosine = np.abs(axes @ axes.T - np.eye(3)).max()
    if cosine > _LARGEST_COSINE:
        raise sheared(path, f"its axes are {np.degrees(np.arcsin(min(1, cosine))):.2g}° off right angles", resampler)


def sheared(path: Path, reason: str, resampler: str) -> InputError:
    """Return the InputError for a sheared grid, for example of a CT scan with a tilted gantry."""
    problem = f"has a sheared matrix ({reason})"
    return InputError(path, problem, f"resample scan and reference to a regular grid, for example with {resampler}")


NIBABEL = "nibabel.processing.resample_to_output (order=0 for references)"
SIMPLEITK = "SimpleITK.Resample (sitkNearestNeighbor for references)"


def check_nifti(path: Path, fields: nibabel.Nifti1Header, dimensions: int) -> None:
    """Check the voxel sizes and matrices of a NIfTI header whose numbers are finite.

    ITK uses the sform if its code is 1 (scanner) or the qform code is 0, and the qform otherwise. If the qform is
    used, the sform may be sheared or scaled, as in a scan that was registered to a template.

    Raises:
        InputError: a voxel size is 0, or a matrix is singular or sheared.
    """
    sizes_mm = np.abs(np.asarray(fields["pixdim"][1 : 1 + min(3, dimensions)], float))
    check_voxel_sizes(path, sizes_mm)
    if int(fields["sform_code"]) <= 0 or dimensions < 3:
        return
    has_qform = int(fields["qform_code"]) > 0
    axes = np.array([fields[f"srow_{axis}"][:3] for axis in "xyz"], float).T
    if has_qform:
        check_axes(path, axes, "use its qform instead: with nibabel, call image.set_sform(None, 0) and save it")
    check_axes(path, axes, "correct its sform, or convert the scan again")
    if not has_qform or int(fields["sform_code"]) == 1:
        check_right_angles(path, axes, NIBABEL)
        lengths = np.linalg.norm(axes, axis=1)
        if (np.maximum(lengths / sizes_mm, sizes_mm / lengths) > _LARGEST_RATIO).any():
            sizes, others = (" × ".join(f"{mm:.4g}" for mm in some) for some in (sizes_mm, lengths))
            problem = f"has voxels of {sizes} mm by its pixdim, but of {others} mm by its sform"
            raise InputError(path, problem, f"write the true sizes into its header ({_SPACING_TOOLS})")


class Placement:
    """Both matrices of a NIfTI file, qform and sform, with their codes, so that programs may use either."""

    def __init__(self, fields: nibabel.Nifti1Header):
        self._fields = fields

    @classmethod
    def read(cls, path: Path) -> "Placement | None":
        """Read the matrices of a file checked by `image_headers.read_header`; return None if it is not NIfTI."""
        name = path.name.lower()
        if not name.endswith((".nii", ".nii.gz")):
            return None
        with gzip.open(path) if name.endswith(".gz") else path.open("rb") as file:
            return cls(nibabel.Nifti1Header(file.read(348), check=False))

    def write(self, array: np.ndarray, note: str, path: Path) -> None:
        """Write `array` (z, y, x), in the axis order of the original file, as compressed NIfTI with these matrices.

        Args:
            note: text of the description field, truncated to 79 bytes.
        """
        header = nibabel.Nifti1Header(endianness="<")
        header.set_data_shape(array.shape[::-1])
        header.set_data_dtype(array.dtype)
        header["pixdim"][:4] = self._fields["pixdim"][:4]
        for name in _PLACEMENT:
            header[name] = self._fields[name]
        header["descrip"] = note.encode("utf-8", "replace")[:79]
        header["scl_slope"], header["scl_inter"] = 1, 0
        header["magic"], header["vox_offset"] = b"n+1", 352
        with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, compresslevel=6, mtime=0) as packed:
            packed.write(header.binaryblock + bytes(4))
            content = memoryview(np.ascontiguousarray(array, array.dtype.newbyteorder("<"))).cast("B")
            for first in range(0, len(content), _BYTES_AT_ONCE):
                packed.write(content[first : first + _BYTES_AT_ONCE])
