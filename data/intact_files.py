"""Image files as they come from elsewhere: read only if they are whole and finite."""

import gzip
import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError

from base.errors import InputError
from data.image_files import read_image
from data.voxel_files import HEADED, check_compression

_BYTES_AT_ONCE = 2**24


def read_intact(path: Path) -> sitk.Image:
    """Read an image as `read_image` does, and refuse one that is cut short or not finite throughout.

    Raises:
        InputError: as `read_image`; the file is damaged, or holds NaN or infinity.
    """
    image = read_image(path)
    if not all(np.isfinite(values).all() for values in _stored_values(path, image)):
        raise InputError(path, "holds values that are not finite (NaN or infinity)", "repair or remove the file")
    return image


def _stored_values(path: Path, image: sitk.Image) -> Iterator[np.ndarray]:
    """The values in the file at `path`, which was read as `image`, part by part.

    SimpleITK reads a NIfTI file that is cut short or holds NaN without a word, with zeros in their place: so its bytes
    are read here, with the checksum of gzip, and nibabel tells which are the values. Nor does it always refuse a
    MetaImage or NRRD file of which the compression is damaged.
    """
    try:
        if path.suffix in HEADED:
            check_compression(path)
        if path.name.endswith((".nii", ".nii.gz")):
            yield from _values_of_nifti(path)
        else:
            yield sitk.GetArrayViewFromImage(image)
    except (OSError, EOFError, ValueError, zlib.error, ImageFileError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(path, f"is damaged ({reason})", "replace the file by an intact copy") from None


def _values_of_nifti(path: Path) -> Iterator[np.ndarray]:
    values = nibabel.load(path).dataobj
    missing = math.prod(values.shape) * values.dtype.itemsize
    with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
        file.seek(values.offset)
        while missing:
            content = file.read(min(missing, _BYTES_AT_ONCE))
            if not content:
                raise EOFError(f"{missing} bytes are missing")
            missing -= len(content)
            yield np.frombuffer(content, values.dtype)
        while file.read(_BYTES_AT_ONCE):  # to the end, where the checksum is
            pass
