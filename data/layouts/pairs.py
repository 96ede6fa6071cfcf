"""Scans and references as plain files: in two folders under equal names, or in one as X and X_seg."""

from pathlib import Path

from data.layouts.files import images_in, refuse_references_without_image, stem_of
from data.layouts.source_case import SourceCase

SHAPE = "CASE.nii.gz and CASE_seg.nii.gz; or give two folders with --images and --references"

_MARK = "_seg"


def recognises(data_folder: Path) -> bool:
    stems = {stem_of(path) for path in data_folder.iterdir()}
    return any(stem + _MARK in stems for stem in stems if stem)


def find(data_folder: Path) -> list[SourceCase]:
    files = images_in(data_folder)
    images = {stem: path for stem, path in files.items() if not stem.endswith(_MARK)}
    references = {stem.removesuffix(_MARK): path for stem, path in files.items() if stem.endswith(_MARK)}
    return _paired(images, references)


def find_in_two_folders(image_folder: Path, reference_folder: Path | None) -> list[SourceCase]:
    """Pair the files of two folders by their names without endings; without the second, no case has a reference."""
    return _paired(images_in(image_folder), images_in(reference_folder) if reference_folder else {})


def _paired(images: dict[str, Path], references: dict[str, Path]) -> list[SourceCase]:
    refuse_references_without_image(references, images)
    return [SourceCase(name, path, references.get(name)) for name, path in images.items()]
