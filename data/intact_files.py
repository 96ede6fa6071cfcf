"""Image files as they come from elsewhere: read only if they are whole and finite."""

import gzip
import math
import zlib
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError

from base.errors import InputError
from data.image_files import read_image
from data.voxel_files import HEADED, check_compression


def read_intact(path: Path) -> sitk.Image:
    """Read an image as `read_image` does, and refuse one that is cut short or not finite throughout.

    Raises:
        InputError: as `read_image`; the file is damaged, or holds NaN or infinity.
    """
    image = read_image(path)
    if not np.isfinite(_stored_values(path, image)).all():
        raise InputError(path, "holds values that are not finite (NaN or infinity)", "repair or remove the file")
    return image


def _stored_values(path: Path, image: sitk.Image) -> np.ndarray:
    """The values in the file at `path`, which was read as `image`.

    SimpleITK reads a NIfTI file that is cut short or holds NaN without a word, with zeros in their place: so its bytes
    are read here, with the checksum of gzip, and nibabel tells which are the values. Nor does it always refuse a
    MetaImage or NRRD file of which the compression is damaged.
    """
    try:
        if path.suffix in HEADED:
            check_compression(path)
        if not path.name.endswith((".nii", ".nii.gz")):
            return sitk.GetArrayViewFromImage(image)
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            content = file.read()
        values = nibabel.load(path).dataobj
        return np.frombuffer(content, values.dtype, math.prod(values.shape), values.offset)
    except (OSError, EOFError, ValueError, zlib.error, ImageFileError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(path, f"is damaged ({reason})", "replace the file by an intact copy") from None
