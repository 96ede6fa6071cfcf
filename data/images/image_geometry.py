"""Where headers of image files say that voxels lie: checked, and for NIfTI kept as the file has it.

Volumes, distances and resampling need boxes of voxels, with sides of known length at right angles. Headers that say
something else are refused, each with what helps: no copy of such a file is any better.
"""

import gzip
from pathlib import Path

import nibabel
import numpy as np

from base.errors import InputError

_LEAST_VOLUME = 1e-6  # of three axes of length 1, for which they count as three
_LARGEST_COSINE = 2e-3  # of two axes at right angles, with what rounding leaves: a tenth of a degree
_LARGEST_RATIO = 1.01  # of two voxel sizes that mean the same
_BYTES_AT_ONCE = 2**22
_SETS_SIZES = "SimpleITK: image.SetSpacing; 3D Slicer: Volumes, Image Spacing"
_PLACEMENT = ("qform_code", "sform_code", "xyzt_units", "quatern_b", "quatern_c", "quatern_d")
_PLACEMENT += ("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z")


def check_voxel_sizes(path: Path, sizes_mm, way: str = _SETS_SIZES) -> None:
    """Raise InputError where a voxel has no size along an axis; `way` is how to give it one."""
    if any(mm == 0 for mm in sizes_mm):
        sizes = ", ".join(f"{mm:g}" for mm in sizes_mm)
        problem = f"does not say how large a voxel is (its voxel sizes are {sizes} mm)"
        raise InputError(path, problem, f"write the true sizes into its header ({way}), or convert the scan again")


def check_axes(path: Path, axes, way: str) -> None:
    """Raise InputError where the rows of `axes` (3, 3), of any length, are not three directions.

    Args:
        way: how to correct them.
    """
    lengths = np.linalg.norm(axes, axis=1, keepdims=True)
    if not lengths.all() or abs(np.linalg.det(axes / lengths)) < _LEAST_VOLUME:
        raise InputError(path, "has a singular matrix: its axes are not three directions", way)


def check_right_angles(path: Path, axes, resampler: str) -> None:
    """Raise InputError where the rows of `axes` (3, 3), of any length but 0, are not at right angles.

    Args:
        resampler: what resamples the file.
    """
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    cosine = np.abs(axes @ axes.T - np.eye(3)).max()
    if cosine > _LARGEST_COSINE:
        raise sheared(path, f"its axes are {np.degrees(np.arcsin(min(1, cosine))):.2g}° off right angles", resampler)


def sheared(path: Path, reason: str, resampler: str) -> InputError:
    """The error for a grid whose axes are not at right angles, such as that of a CT with a tilted gantry."""
    problem = f"has a sheared matrix ({reason})"
    return InputError(path, problem, f"resample scan and reference to a regular grid, for example with {resampler}")


NIBABEL = "nibabel.processing.resample_to_output (order=0 for references)"
SIMPLEITK = "SimpleITK.Resample (sitkNearestNeighbor for references)"


def check_nifti(path: Path, fields: nibabel.Nifti1Header, dimensions: int) -> None:
    """Check the voxel sizes and matrices of a NIfTI header, whose numbers are finite.

    ITK goes by the sform where its code is 1 (scanner) or the qform has none, and else by the qform. The sform of a
    scan that was registered to a template may be sheared, or scaled, where the qform counts.

    Raises:
        InputError: the voxel size is not known, or a matrix singular or sheared.
    """
    sizes_mm = np.abs(np.asarray(fields["pixdim"][1 : 1 + min(3, dimensions)], float))
    check_voxel_sizes(path, sizes_mm)
    if int(fields["sform_code"]) <= 0 or dimensions < 3:
        return
    has_qform = int(fields["qform_code"]) > 0
    axes = np.array([fields[f"srow_{axis}"][:3] for axis in "xyz"], float).T
    if has_qform:
        check_axes(path, axes, "let its qform count: with nibabel, image.set_sform(None, 0), and save it")
    check_axes(path, axes, "correct its sform, or convert the scan again")
    if not has_qform or int(fields["sform_code"]) == 1:
        check_right_angles(path, axes, NIBABEL)
        lengths = np.linalg.norm(axes, axis=1)
        if (np.maximum(lengths / sizes_mm, sizes_mm / lengths) > _LARGEST_RATIO).any():
            sizes, others = (" × ".join(f"{mm:.4g}" for mm in some) for some in (sizes_mm, lengths))
            problem = f"has voxels of {sizes} mm by its pixdim, of {others} mm by its sform"
            raise InputError(path, problem, f"write the true sizes into its header ({_SETS_SIZES})")


class Placement:
    """Both matrices of a NIfTI file, qform and sform, with their codes: whichever of them a program goes by."""

    def __init__(self, fields: nibabel.Nifti1Header):
        self._fields = fields

    @classmethod
    def read(cls, path: Path) -> "Placement | None":
        """Read the placement from a file that `image_headers.read_header` has checked; None where it is no NIfTI."""
        name = path.name.lower()
        if not name.endswith((".nii", ".nii.gz")):
            return None
        with gzip.open(path) if name.endswith(".gz") else path.open("rb") as file:
            return cls(nibabel.Nifti1Header(file.read(348), check=False))

    def write(self, array: np.ndarray, note: str, path: Path) -> None:
        """Write `array` (z, y, x), in the axes of the file that was read, as compressed NIfTI with this placement.

        Args:
            note: for the description field, which holds 79 bytes.
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
