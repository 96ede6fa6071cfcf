"""The scan and the reference in a case folder: links to a data set's files, copies of them, or somebody's own work.

What stage 1 put there is known again: links by the target that its record names, copies by the checksum in their
note, or because they equal their originals. All else is somebody's own. It is never removed, and where stage 1 made the
case folder, it counts instead of the file of the data set: someone has corrected a reference, or drawn one.
"""

import filecmp
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from base.atomic_file import copy_file
from base.errors import InputError
from data.case_folder import is_listed
from data.images.file_kinds import broken_link
from data.images.image_files import files_of
from data.images.noted_images import is_copy, write_copy


@dataclass(frozen=True)
class Original:
    """A scan or a reference.

    Attributes:
        file: what is read; None where there is none.
        place: where later stages find it, in the case folder.
        is_own: whether somebody put it at its place, so that nothing is to be linked or copied.
        is_correction: whether it counts instead of the data set's, or where the data set has none.
    """

    file: Path | None
    place: Path
    is_own: bool
    is_correction: bool = False

    @classmethod
    def find(cls, source: Path | None, place: Path, record: dict | None) -> "Original":
        """Tell what counts of the data set's `source` (None: it has none) and what lies at `place`.

        Args:
            record: what stage 1 wrote about the case before; empty where that cannot be read, None where there is none.

        Raises:
            InputError: something lies at `place` that stage 1 did not put there, in a folder that it did not make.
        """
        if source and source.name == place.name and source.parent.resolve() == place.parent.resolve():
            return cls(source, place, is_own=True)
        if not is_listed(place) or _is_placed(source, place, record):
            return cls(source, place, is_own=False)
        if record is None:
            if source is None:
                return cls(None, place, is_own=True)
            raise InputError(place, f"is in the way of {source}", "remove it, or name another folder with -o")
        return cls(place, place, is_own=True, is_correction=True)

    def stamps(self) -> dict | None:
        """Size and time of change, summed over the files, by which a replaced original is noticed.

        Raises:
            InputError: a file is missing.
        """
        if self.file is None:
            return None
        return stamps_of(self.file)

    def put(self, image: sitk.Image | None) -> sitk.Image | None:
        """Link the original to its place, or copy it: where it is not compressed NIfTI, or the disk has no links.

        Returns:
            `image`, which is what the file holds, as it is read at its place.
        """
        if self.is_own or (self.file and _are_equal_files(self.file, self.place)):
            return image
        if is_listed(self.place):  # an earlier run's
            self.place.unlink()
        if self.file is None:
            return None
        if not self.file.name.lower().endswith(".nii.gz"):
            return write_copy(image, self.file, self.place)
        self.place.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.place.symlink_to(self.file.resolve())
        except OSError:
            copy_file(self.file, self.place)  # which tells what else is wrong
        return image

    @property
    def lacks_link(self) -> bool:
        """Whether what lies at the place is a copy because the disk has no links."""
        is_there = not self.is_own and self.file is not None and not self.place.is_symlink()
        return is_there and self.file.name.lower().endswith(".nii.gz")

    def placed(self) -> dict | None:
        """What is recorded of the file at its place, if stage 1 put it there."""
        if self.is_own or self.file is None:
            return None
        return {"link": str(self.place.readlink()) if self.place.is_symlink() else None, **stamps_of(self.place)}


def stamps_of(path: Path) -> dict:
    """Size and time of change of an image, summed over its files.

    Raises:
        InputError: a file is missing.
    """
    if path.is_symlink() and not path.exists():
        raise InputError(path, *broken_link(path))
    if not path.exists():
        raise InputError(path, "there is no such file", "restore it, or remove the case")
    status = [file.stat() for file in files_of(path)]
    return {"bytes": sum(s.st_size for s in status), "modified_ns": sum(s.st_mtime_ns for s in status)}


def _is_placed(source: Path | None, place: Path, record: dict | None) -> bool:
    """Tell whether stage 1 put there what lies at `place`."""
    known = ((record or {}).get("placed") or {}).get(place.name)
    if place.is_symlink():
        if known is None:  # no record, or one of an earlier version
            return record is not None or (source is not None and place.resolve() == source.resolve())
        return str(place.readlink()) == known["link"]
    if known is not None and known == {"link": None, **stamps_of(place)}:
        return True
    return is_copy(place) or (source is not None and _are_equal_files(source, place))


def _are_equal_files(source: Path, place: Path) -> bool:
    """Tell whether `place` is a file of its own that holds what `source` does, byte by byte."""
    are_files = source.is_file() and place.is_file() and not place.is_symlink()
    return are_files and filecmp.cmp(source, place, shallow=False)
