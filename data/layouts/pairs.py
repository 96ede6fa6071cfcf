"""Scans and references as plain files: with equal names in two folders, or as X and X_seg in one folder.

X.seg.nrrd, the name that 3D Slicer gives to segmentations, is also a reference.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from base.channels import UNNAMED
from base.errors import InputError
from data.layouts.files import images_in, refuse_references_without_image, stem_of
from data.layouts.reference_names import is_named_as_reference_of
from data.layouts.source_case import ImageFile, SourceCase

SHAPE = "CASE.nii.gz and CASE_seg.nii.gz; or give folders with --images and --references"
FOLDER_PER_CASE = False

_MARKS = ("_seg", ".seg")


def recognises(data_folder: Path) -> bool:
    stems = {stem_of(path) for path in data_folder.iterdir()}
    return any(stem + mark in stems for stem in stems if stem for mark in _MARKS)


def find(data_folder: Path) -> list[SourceCase]:
    files = images_in(data_folder)
    images = {stem: path for stem, path in files.items() if _unmarked(stem) == stem}
    references: dict[str, Path] = {}
    for stem, path in files.items():
        if _unmarked(stem) != stem and references.setdefault(_unmarked(stem), path) != path:
            first = references[_unmarked(stem)]
            raise InputError(path, f"conflicts with {first.name} in the same folder", "keep one of them")
    return _paired(images, references)


def find_in_folders(image_folders: Mapping[str, Path], reference_folder: Path | None) -> list[SourceCase]:
    """Pair the files of folders by their names without extensions; without the last, no case has a reference.

    Args:
        image_folders: of each channel by name; a single folder may have no name.

    Raises:
        InputError: the folder of references contains no image file, or one without an image.
    """
    files = {channel: images_in(folder) for channel, folder in image_folders.items()}
    if list(files) == [UNNAMED]:
        return _with_references(files[UNNAMED], reference_folder)
    images = {stem: path for channel in reversed(files) for stem, path in files[channel].items()}
    return [
        replace(case, channels={one: ImageFile(files[one][case.name]) for one in files if case.name in files[one]})
        for case in _with_references(images, reference_folder)
    ]


def _with_references(images: dict[str, Path], reference_folder: Path | None) -> list[SourceCase]:
    if reference_folder is None:
        return _paired(images, {})
    references: dict[str, Path] = {}
    for stem, path in images_in(reference_folder).items():
        name = stem if stem in images else _unmarked_slicer(stem)
        if references.setdefault(name, path) != path:
            raise InputError(path, f"conflicts with {references[name].name} in the same folder", "keep one of them")
    if not references:
        raise InputError(reference_folder, "holds no reference: there is no image file in it", "check --references")
    return _paired(images, references)


def _unmarked(stem: str) -> str:
    mark = next((mark for mark in _MARKS if stem.endswith(mark)), "")
    return stem.removesuffix(mark)


def _unmarked_slicer(stem: str) -> str:
    return stem.removesuffix(".seg")


def _paired(images: dict[str, Path], references: dict[str, Path]) -> list[SourceCase]:
    refuse_references_without_image(references, images)
    return [
        SourceCase(name, path, references.get(name), may_be_labels=name not in references)
        for name, path in images.items()
        if not any(is_named_as_reference_of(name, other) for other in images)
    ]
