"""The scan and the reference in a case folder: links to the files of a data set, copies of them, or the user's files.

Files placed by stage 1 are recognized: links by the target in its record, copies by the checksum in their note or
because they equal the original. All others are the user's own. They are never removed. In a case folder made by
stage 1, they are used instead of the files of the data set, because the user has corrected or drawn a reference.
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
        file: the file to read, or None if there is none.
        component: number (from 0) of the channel to take of a file that holds `components` of them; None: the file.
        place: its path in the case folder, where later stages read it.
        is_own: whether the user put it there, so that nothing has to be linked or copied.
        is_correction: whether it replaces the file of the data set, or adds one that the data set lacks.
    """

    file: Path | None
    place: Path
    is_own: bool
    is_correction: bool = False
    component: int | None = None
    components: int = 1

    @classmethod
    def find(
        cls,
        source: Path | None,
        place: Path,
        record: dict | None,
        component: int | None = None,
        components: int = 1,
    ) -> "Original":
        """Decide between the data set's file `source` (None if there is none) and an existing file at `place`.

        Args:
            record: the earlier record of stage 1; empty if it is damaged, None if there is none.
            component, components: of the data set's file.

        Raises:
            InputError: stage 1 placed neither the file at `place` nor a record in its folder.
        """
        if source and source.name == place.name and source.parent.resolve() == place.parent.resolve():
            return cls(source, place, is_own=True)
        if not is_listed(place) or _is_placed(source, place, record):
            return cls(source, place, is_own=False, component=component, components=components)
        if record is None:
            if source is None:
                return cls(None, place, is_own=True)
            problem = f"already exists, but {source} is to be placed there"
            raise InputError(place, problem, "remove it, or name another folder with -o")
        return cls(place, place, is_own=True, is_correction=True)

    def stamps(self) -> dict | None:
        """Return size and modification time, summed over the files, to detect a replaced original.

        Of a file with several channels, also which one is taken.

        Raises:
            InputError: a file is missing.
        """
        if self.file is None:
            return None
        return stamps_of(self.file) | ({} if self.component is None else {"component": self.component})

    def put(self, image: sitk.Image | None) -> sitk.Image | None:
        """Link the original to its place, or copy it if it is not compressed NIfTI or the disk does not support links.

        Args:
            image: the content of the file.

        Returns:
            the image as read from its place.
        """
        whole = self.component is None
        if self.is_own or (self.file and whole and _are_equal_files(self.file, self.place)):
            return image
        if is_listed(self.place):  # left by an earlier run
            self.place.unlink()
        if self.file is None:
            return None
        if not whole or not self.file.name.lower().endswith(".nii.gz"):
            return write_copy(image, self.file, self.place)
        self.place.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.place.symlink_to(self.file.resolve())
        except OSError:
            copy_file(self.file, self.place)  # raises InputError for any other problem
        return image

    @property
    def lacks_link(self) -> bool:
        """True if the file was copied because the disk does not support links."""
        is_copied = not self.is_own and self.file is not None and not self.place.is_symlink()
        return is_copied and self.component is None and self.file.name.lower().endswith(".nii.gz")

    def placed(self) -> dict | None:
        """Return the record entry of a file placed by stage 1, or None."""
        if self.is_own or self.file is None:
            return None
        return {"link": str(self.place.readlink()) if self.place.is_symlink() else None, **stamps_of(self.place)}


def stamps_of(path: Path) -> dict:
    """Return size and modification time of an image, summed over its files.

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
    """Return whether the file at `place` was put there by stage 1."""
    known = ((record or {}).get("placed") or {}).get(place.name)
    if place.is_symlink():
        if known is None:  # no record, or one of an earlier version
            return record is not None or (source is not None and place.resolve() == source.resolve())
        # A run that was killed has placed links that it did not record.
        leads_to_source = source is not None and place.resolve() == source.resolve()
        return leads_to_source or str(place.readlink()) == known["link"]
    if known is not None and known == {"link": None, **stamps_of(place)}:
        return True
    return is_copy(place) or (source is not None and _are_equal_files(source, place))


def _are_equal_files(source: Path, place: Path) -> bool:
    """Return whether `place` is a regular file, not a link, with the same bytes as `source`."""
    are_files = source.is_file() and place.is_file() and not place.is_symlink()
    return are_files and filecmp.cmp(source, place, shallow=False)
