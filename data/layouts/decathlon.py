"""Medical Segmentation Decathlon, nnU-Net version 1 and MONAI: dataset.json lists scans and their references.

All three have "training": [{"image": ..., "label": ...}] and "test": [...]. MONAI also has "validation" and "testing";
a validation list means that the data set has its own split. An entry without a label, or a path alone, is a scan
without a reference. nnU-Net version 1 lists a.nii.gz for the file a_0000.nii.gz.
"""

from pathlib import Path, PurePosixPath

from base.errors import InputError
from base.json_files import check_shape
from base.names import check_path_inside
from data.case_folder import is_listed
from data.layouts.description import description_of, read_description
from data.layouts.files import ENDINGS, ending_of, image_named, stem_of
from data.layouts.source_case import SourceCase

SHAPE = 'imagesTr, labelsTr, imagesTs and dataset.json with "training": [{"image": ..., "label": ...}]'
FOLDER_PER_CASE = False

_LISTS = {"training": "train", "validation": "val", "testing": "test", "test": "test"}
_FIRST_CHANNEL, _SECOND_CHANNEL = "_0000", "_0001"  # of nnU-Net


def recognises(data_folder: Path) -> bool:
    return "training" in read_description(data_folder)


def find(data_folder: Path) -> list[SourceCase]:
    description = read_description(data_folder)
    if not description:
        return []
    try:
        check_shape(description, {"training": [_check_entry], **{f"{name}?": [_check_entry] for name in _LISTS}})
    except ValueError as error:
        problem = f"is not a Decathlon description ({error})"
        raise InputError(description_of(data_folder), problem, 'expected "training": [{"image", "label"}]') from None
    entries = [(split, *_files(entry)) for name, split in _LISTS.items() for entry in description.get(name, [])]
    has_own_split = bool(description.get("validation"))
    names = _names([images[0] for _, images, _ in entries])
    cases = []
    for name, (split, images, label) in zip(names, entries):
        image = _image(data_folder, images)
        reference = data_folder / label if label else None
        if split == "test" and reference is None:
            reference = image_named(data_folder / "labelsTs", name)
        cases.append(SourceCase(name, image, reference, split if has_own_split else None))
    return cases


def unread_lists(data_folder: Path) -> list[str]:
    """Return the names of lists in dataset.json that look like lists of cases but are not read."""
    return [
        name
        for name, value in read_description(data_folder).items()
        if name not in _LISTS and isinstance(value, list) and any(map(_is_entry, value))
    ]


def _is_entry(value) -> bool:
    try:
        _check_entry(value)
    except ValueError:
        return False
    return isinstance(value, dict) or bool(ending_of(Path(value)))


def _check_entry(value) -> None:
    if isinstance(value, str):
        check_path_inside(value)
        return
    check_shape(value, {"image": object, "label?": object})
    images, label = _files(value)
    if not images:
        raise ValueError("image: the list is empty")
    for path in (*images, *((label,) if label is not None else ())):
        check_path_inside(path)


def _files(entry: str | dict) -> tuple[list, str | None]:
    """Return the images of an entry (one per channel) and its label, or None without a label."""
    if isinstance(entry, str):
        return [entry], None
    images, label = entry["image"], entry.get("label") or None
    if isinstance(label, list) and len(label) == 1:
        label = label[0]
    return images if isinstance(images, list) else [images], label


def _names(images: list[str]) -> list[str]:
    """Return the names of cases: the stems of their files, or their paths if two stems are equal."""
    stems = [_stem(image) for image in images]
    if len(set(stems)) == len(set(images)):
        return stems
    return ["_".join((*PurePosixPath(image).parts[:-1], stem)) for image, stem in zip(images, stems)]


def _stem(image: str) -> str:
    if not stem_of(Path(image)):
        raise InputError(image, "is not an image file of a supported format", f"convert it to {', '.join(ENDINGS)}")
    return stem_of(Path(image))


def _image(data_folder: Path, images: list[str]) -> Path:
    """Return the image file of a case, which may have the channel number of nnU-Net.

    Raises:
        InputError: there are several channels.
    """
    path = data_folder / images[0]
    if len(images) > 1:
        raise InputError(path, f"is one of {len(images)} images of its case", "only images of one channel are read")
    if is_listed(path):
        return path
    first, second = (image_named(path.parent, stem_of(path) + mark) for mark in (_FIRST_CHANNEL, _SECOND_CHANNEL))
    if second:
        raise InputError(second, "is a second channel", "only images of one channel are read: make a data set of one")
    return first or path  # a missing file is refused when it is read
