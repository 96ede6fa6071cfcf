"""Image files of a data set by their names."""

from collections.abc import Container
from pathlib import Path

from base.errors import InputError
from base.names import is_of_a_system

ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")


def ending_of(path: Path) -> str:
    """The one of `ENDINGS` that a file has, in capitals or not; empty for files that are no images, or hidden."""
    name = path.name.lower()
    return next((ending for ending in ENDINGS if name.endswith(ending)), "") if not name.startswith(".") else ""


def stem_of(path: Path) -> str:
    """Name of an image file without its ending; empty for files that are no images, or hidden."""
    ending = ending_of(path)
    return path.name[: -len(ending)] if ending else ""


def folders_in(folder: Path) -> list[Path]:
    """Folders in `folder`, sorted; none where there is no such folder. Hidden ones are passed over."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not is_hidden(path) and path.is_dir())


def is_hidden(path: Path) -> bool:
    """Tell whether a file or folder is hidden, or was put there by an operating system."""
    return path.name.startswith(".") or is_of_a_system(path.name)


def images_in(folder: Path) -> dict[str, Path]:
    """Image files in `folder` by their stems, sorted; none where there is no such folder.

    Raises:
        InputError: two files differ in their endings alone.
    """
    images: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if stem_of(path) and images.setdefault(stem_of(path), path) != path:
            _refuse_double(images[stem_of(path)], path)
    return images


def image_named(folder: Path, stem: str) -> Path | None:
    """The image file of that stem in `folder`, whatever its ending; a link that leads nowhere is one, too.

    Raises:
        InputError: there are several.
    """
    found = [path for path in folder.iterdir() if stem_of(path) == stem] if folder.is_dir() else []
    found.sort(key=lambda path: (ENDINGS.index(ending_of(path)), path.name))
    if len(found) > 1:
        _refuse_double(*found[:2])
    return found[0] if found else None


def _refuse_double(first: Path, second: Path) -> None:
    raise InputError(second, f"lies beside {first.name}: either could be meant", "keep one of them")


def refuse_references_without_image(references: dict[str, Path], images: Container[str]) -> None:
    """Raise InputError where a reference, by the name of its case, has no image: a mistake in a name loses a case."""
    for name, path in references.items():
        if name not in images:
            raise InputError(path, f"there is no image of case {name}", "correct the name, or remove the reference")
