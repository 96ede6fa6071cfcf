"""Images that the program knows again as its own work, by a note in the description field of their NIfTI headers."""

from pathlib import Path

import SimpleITK as sitk

from base.errors import InputError
from data.images.image_files import NOTE, Grid, checksum, from_array, read_image, write_image
from data.images.image_geometry import Placement
from data.images.image_headers import read_header

_COPY = "copied by resample_data.py "
_RESAMPLED = "resampled by resample_data.py"
_DIGITS = 16  # of a copy's checksum


def note_of(path: Path) -> str:
    """The note in a NIfTI file, its description field; empty where there is none."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        read_header(path)
        reader.ReadImageInformation()
    except (InputError, RuntimeError):  # not there, or no image
        return ""
    return reader.GetMetaData(NOTE) if reader.HasMetaDataKey(NOTE) else ""


def write_copy(image: sitk.Image, original: Path, path: Path) -> sitk.Image:
    """Write the voxels and grid of `image`, which was read from `original`, as NIfTI; `is_copy` knows it again.

    Returns:
        The copy as it is read: NIfTI stores its grid in single precision.

    Raises:
        InputError: NIfTI cannot hold this grid.
    """
    array = sitk.GetArrayFromImage(image)
    note = f"{_COPY}({checksum(array)[:_DIGITS]}) from {original.name}"
    written = []

    def verify(temporary: Path) -> None:
        written.append(read_image(temporary))
        difference = Grid.of(written[0]).differs_from(Grid.of(image))
        if difference:
            problem = f"has a grid that NIfTI cannot hold ({difference})"
            raise InputError(original, problem, "resample it to a regular grid")

    write_image(from_array(array, Grid.of(image)), path, note, Placement.read(original), verify)
    return written[0]


def write_resampled(image: sitk.Image, path: Path) -> None:
    """Write an image that stage 1 resampled; `is_resampled` knows it again."""
    write_image(image, path, _RESAMPLED)


def is_resampled(path: Path) -> bool:
    """Tell whether `write_resampled` wrote the file at `path`."""
    return note_of(path).startswith(_RESAMPLED)


def is_copy(path: Path) -> bool:
    """Tell whether the file at `path` is as `write_copy` wrote it, by the checksum in its note.

    One that is damaged is taken for a copy, too: nobody's correction is lost with it.
    """
    note = note_of(path)
    if not note.startswith(_COPY):
        return False
    digest, _, _ = note.removeprefix(_COPY).removeprefix("(").partition(")")
    try:
        image = read_image(path)
    except InputError:
        return True
    return checksum(sitk.GetArrayViewFromImage(image))[:_DIGITS] == digest
