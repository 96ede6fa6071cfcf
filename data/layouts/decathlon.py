"""Medical Segmentation Decathlon: dataset.json lists training pairs, and test images without references."""

from pathlib import Path

from base.errors import InputError
from base.json_files import check_shape
from base.names import check_path_inside
from data.layouts.description import DESCRIPTION, read_description
from data.layouts.files import ENDINGS, stem_of
from data.layouts.source_case import SourceCase

_SHAPE_OF_DESCRIPTION = {
    "training": [{"image": check_path_inside, "label": (None, check_path_inside)}],
    "test?": [check_path_inside],
}

SHAPE = 'imagesTr, labelsTr, imagesTs and dataset.json with "training": [{"image": ..., "label": ...}]'


def recognises(data_folder: Path) -> bool:
    return "training" in read_description(data_folder)


def find(data_folder: Path) -> list[SourceCase]:
    description = read_description(data_folder)
    if not description:
        return []
    try:
        check_shape(description, _SHAPE_OF_DESCRIPTION)
    except ValueError as error:
        problem = f"is no Decathlon description ({error})"
        raise InputError(data_folder / DESCRIPTION, problem, 'expected "training": [{"image", "label"}]') from None
    files = [(pair["image"], pair["label"]) for pair in description["training"]]
    files += [(image, None) for image in description.get("test", [])]
    return [
        SourceCase(_name_of(data_folder / image), data_folder / image, data_folder / label if label else None)
        for image, label in files
    ]


def _name_of(image: Path) -> str:
    if not stem_of(image):
        raise InputError(image, "is no image file that can be read", f"convert it to one of {', '.join(ENDINGS)}")
    return stem_of(image)
