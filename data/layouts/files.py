"""Image files of a data set, recognized by their names."""

from collections.abc import Container
from pathlib import Path

from base.errors import InputError
from base.names import is_of_a_system

ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")


def ending_of(path: Path) -> str:
    """Return the image extension of a file (one of `ENDINGS`), or "" if it is hidden or not an image; ignore case."""
    name = path.name.lower()
    return next((ending for ending in ENDINGS if name.endswith(ending)), "") if not name.startswith(".") else ""


def stem_of(path: Path) -> str:
    """Return the name of an image file without its extension, or "" if the file is hidden or not an image."""
    ending = ending_of(path)
    return path.name[: -len(ending)] if ending else ""


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in `folder`, sorted and without hidden ones; return an empty list if `folder` is missing."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not is_hidden(path) and path.is_dir())


def is_hidden(path: Path) -> bool:
    """Return whether a file or folder is hidden or was created by an operating system."""
    return path.name.startswith(".") or is_of_a_system(path.name)


def images_in(folder: Path) -> dict[str, Path]:
    """Return the image files in `folder` by stem, sorted; return an empty dict if `folder` is missing.

    Raises:
        InputError: two files differ only in their extensions.
    """
    images: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if stem_of(path) and images.setdefault(stem_of(path), path) != path:
            _refuse_duplicate(images[stem_of(path)], path)
    return images


def image_named(folder: Path, stem: str) -> Path | None:
    """Return the image file with this stem in `folder` and any extension, or None; broken links are included.

    Raises:
        InputError: there are several such files.
    """
    return Listing(folder).image_named(stem)


class Listing:
    """The image files in a folder, which is read once; none if it is missing. Broken links are included."""

    def __init__(self, folder: Path):
        self._found: dict[str, list[Path]] = {}
        for path in folder.iterdir() if folder.is_dir() else ():
            if stem := stem_of(path):
                self._found.setdefault(stem, []).append(path)

    def image_named(self, stem: str) -> Path | None:
        """Return the file with this stem and any extension, or None.

        Raises:
            InputError: there are several such files.
        """
        found = sorted(self._found.get(stem, ()), key=lambda path: (ENDINGS.index(ending_of(path)), path.name))
        if len(found) > 1:
            _refuse_duplicate(*found[:2])
        return found[0] if found else None


def _refuse_duplicate(first: Path, second: Path) -> None:
    raise InputError(second, f"conflicts with {first.name} in the same folder", "keep one of them")


def refuse_references_without_image(references: dict[str, Path], images: Container[str]) -> None:
    """Raise InputError if a reference (by case name) has no image, so that no case is lost by a misspelled name."""
    for name, path in references.items():
        if name not in images:
            raise InputError(path, f"there is no image of case {name}", "correct the name, or remove the reference")
