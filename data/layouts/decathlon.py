"""Medical Segmentation Decathlon: dataset.json lists training pairs, and test images without references."""

from pathlib import Path

from base.errors import InputError
from data.layouts.description import DESCRIPTION, read_description
from data.layouts.files import ENDINGS, stem_of
from data.layouts.source_case import SourceCase

SHAPE = 'imagesTr, labelsTr, imagesTs and dataset.json with "training": [{"image": ..., "label": ...}]'


def recognises(data_folder: Path) -> bool:
    return "training" in read_description(data_folder)


def find(data_folder: Path) -> list[SourceCase]:
    description = read_description(data_folder)
    if not description:
        return []
    try:
        files = [(pair["image"], pair["label"]) for pair in description["training"]]
        files += [(image, None) for image in description.get("test", [])]
        return [
            SourceCase(_name_of(data_folder / image), data_folder / image, data_folder / label if label else None)
            for image, label in files
        ]
    except (KeyError, TypeError):
        raise InputError(
            data_folder / DESCRIPTION, "is no Decathlon description", 'expected "training": [{"image", "label"}]'
        ) from None


def _name_of(image: Path) -> str:
    if not stem_of(image):
        raise InputError(image, "is no image file that can be read", f"convert it to one of {', '.join(ENDINGS)}")
    return stem_of(image)
