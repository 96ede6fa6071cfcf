"""Images that this program recognizes as its own output by a note in the description field of the NIfTI header."""

from pathlib import Path

import SimpleITK as sitk

from base.errors import InputError
from data.images.image_files import NOTE, Grid, checksum, from_array, read_image, write_image
from data.images.image_geometry import Placement
from data.images.image_headers import read_header

_COPY = "copied by resample_data.py "
_RESAMPLED = "resampled by resample_data.py"
_DIGITS = 16  # of the checksum in the note of a copy


def note_of(path: Path) -> str:
    """Return the note (the description field) of a NIfTI file, or "" if there is none."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        read_header(path)
        reader.ReadImageInformation()
    except (InputError, RuntimeError):  # missing, or not an image
        return ""
    return reader.GetMetaData(NOTE) if reader.HasMetaDataKey(NOTE) else ""


def write_copy(image: sitk.Image, original: Path, path: Path) -> sitk.Image:
    """Write `image`, which was read from `original`, as NIfTI with a note by which `is_copy` recognizes it.

    Returns:
        the copy as read back from the file, because NIfTI stores the grid in single precision.

    Raises:
        InputError: NIfTI cannot represent this grid.
    """
    array = sitk.GetArrayFromImage(image)
    note = f"{_COPY}({checksum(array)[:_DIGITS]}) from {original.name}"
    written = []

    def verify(temporary: Path) -> None:
        written.append(read_image(temporary))
        difference = Grid.of(written[0]).differs_from(Grid.of(image))
        if difference:
            problem = f"has a grid that NIfTI cannot represent ({difference})"
            raise InputError(original, problem, "resample it to a regular grid")

    write_image(from_array(array, Grid.of(image)), path, note, Placement.read(original), verify)
    return written[0]


def write_resampled(image: sitk.Image, path: Path) -> None:
    """Write an image resampled by stage 1 with a note by which `is_resampled` recognizes it."""
    write_image(image, path, _RESAMPLED)


def is_resampled(path: Path) -> bool:
    """Return whether the file at `path` was written by `write_resampled`."""
    return note_of(path).startswith(_RESAMPLED)


def is_copy(path: Path) -> bool:
    """Return whether the file at `path` is an unmodified output of `write_copy`, by the checksum in its note.

    A damaged file also counts as a copy: it contains no manual correction that could be lost.
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
