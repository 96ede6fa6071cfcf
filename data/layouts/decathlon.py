"""Medical Segmentation Decathlon, nnU-Net version 1 and MONAI: dataset.json lists scans and their references.

All three have "training": [{"image": ..., "label": ...}] and "test": [...]. MONAI also has "validation" and "testing";
a validation list means that the data set has its own split. An entry without a label, or a path alone, is a scan
without a reference. nnU-Net version 1 lists a.nii.gz for the files a_0000.nii.gz, a_0001.nii.gz and so on, one for each
channel; the Decathlon has one file with all channels. "modality" names the channels: {"0": "T2", "1": "ADC"}.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from base.errors import InputError
from base.json_files import check_shape
from base.names import check_path_inside
from data.case_folder import is_listed
from data.layouts.channels import components_of, named_channels
from data.layouts.description import description_of, read_description
from data.layouts.files import ENDINGS, Listing, ending_of, stem_of
from data.layouts.source_case import ImageFile, SourceCase

SHAPE = 'imagesTr, labelsTr, imagesTs and dataset.json with "training": [{"image": ..., "label": ...}]'
FOLDER_PER_CASE = False

_LISTS = {"training": "train", "validation": "val", "testing": "test", "test": "test"}
_MOST_CHANNELS = 16


def recognises(data_folder: Path) -> bool:
    return "training" in read_description(data_folder)


def find(data_folder: Path, names: Sequence[str] = ()) -> list[SourceCase]:
    """Return the cases; `names` are those of the channels where the description has none."""
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
    case_names = _names([images[0] for _, images, _ in entries])
    modality = description.get("modality") or description.get("channel_names") or {}
    named = named_channels(modality, description_of(data_folder)) if isinstance(modality, dict | list) else []
    channels = named if len(named) > 1 else list(names)
    folders = {(data_folder / images[0]).parent for _, images, _ in entries}
    listings = {folder: Listing(folder) for folder in folders}
    test_labels = Listing(data_folder / "labelsTs")
    cases = []
    for name, (split, images, label) in zip(case_names, entries):
        files = _images(data_folder, images, channels, listings[(data_folder / images[0]).parent])
        reference = data_folder / label if label else None
        if split == "test" and reference is None:
            reference = test_labels.image_named(_stem(images[0]))
        own_split = split if has_own_split else None
        if isinstance(files, Path):
            cases.append(SourceCase(name, files, reference, own_split))
        else:
            image = next(iter(files.values()), ImageFile(data_folder / images[0])).path
            problem = "" if files else "there is no such file; restore it"
            cases.append(SourceCase(name, image, reference, own_split, problem=problem, channels=files))
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


def _images(data_folder: Path, images: list[str], channels: list[str], listing: Listing) -> Path | dict[str, ImageFile]:
    """Return the image file of a case or, of several `channels`, the image of each that there is.

    Args:
        listing: of the folder of the first image.

    Raises:
        InputError: there are several images, and as many names are not known; or numbers of channels are too large.
    """
    path = data_folder / images[0]
    numbered = {} if is_listed(path) else _numbered(path, listing)
    count = max(len(images), len(numbered), 1)
    if count > 1 and count > len(channels):
        problem = f"is one of {count} images of its case, and {len(channels) or 'none'} of them have a name"
        raise InputError(path, problem, "name the channels in their order with --channels")
    last = max(len(channels), 1) - 1
    if numbered and max(numbered) > last:
        problem = f"has images numbered {', '.join(f'{number:04d}' for number in numbered)}, and the last is {last:04d}"
        raise InputError(path, problem, "rename them, or name all channels in their order with --channels")
    if not channels:
        return numbered.get(0, path)  # a missing file is refused when it is read
    if len(images) > 1:
        return {name: ImageFile(data_folder / file) for name, file in zip(channels, images)}
    if is_listed(path):
        return components_of(path, channels)
    return {channels[number]: ImageFile(file) for number, file in numbered.items()}


def _numbered(path: Path, listing: Listing) -> dict[int, Path]:
    """Return the files `path` with the numbers of channels in their names, as nnU-Net has them."""
    files = {number: listing.image_named(f"{stem_of(path)}_{number:04d}") for number in range(_MOST_CHANNELS)}
    return {number: file for number, file in files.items() if file}
