"""Raw data sets of nnU-Net version 2: one file per channel, numbered in its name, and one label file per case."""

import re
from dataclasses import replace
from pathlib import Path

from base.errors import InputError
from data.layouts.channels import named_channels
from data.layouts.description import DESCRIPTION, read_description
from data.layouts.files import ENDINGS, Listing, ending_of, images_in, refuse_references_without_image
from data.layouts.source_case import ImageFile, SourceCase

SHAPE = 'imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz and dataset.json with "channel_names" and "file_ending"'
FOLDER_PER_CASE = False

_NUMBERED = re.compile(r"(.+)_(\d{4})")


def recognises(data_folder: Path) -> bool:
    return {"channel_names", "file_ending"} <= read_description(data_folder).keys()


def find(data_folder: Path) -> list[SourceCase]:
    description = read_description(data_folder)
    if not description:
        return []
    if "dataset" in description:
        raise InputError(
            data_folder / DESCRIPTION, 'lists its files under "dataset"', "put them into imagesTr and labelsTr"
        )
    ending = _checked_ending(description, data_folder / DESCRIPTION)
    channels = named_channels(description["channel_names"], data_folder / DESCRIPTION)
    training, test = (_scans(data_folder / name, ending, len(channels)) for name in ("imagesTr", "imagesTs"))
    ignore_label = _ignore_label(description)
    folder = data_folder / "labelsTr"
    labels, test_labels = images_in(folder), Listing(data_folder / "labelsTs")
    refuse_references_without_image(labels, training)
    cases = [  # a missing label is refused when it is read
        _case(name, scans, labels.get(name) or folder / f"{name}{ending}", channels) for name, scans in training.items()
    ]
    cases += [_case(name, scans, test_labels.image_named(name), channels) for name, scans in test.items()]
    return [replace(case, ignore_label=ignore_label) for case in cases]


def _case(name: str, scans: dict[int, Path], reference: Path | None, channels: list[str]) -> SourceCase:
    """Return a case from the files of its channels by number; one channel alone needs no name."""
    image = scans[min(scans)]
    if len(channels) == 1:
        return SourceCase(name, image, reference)
    named = {channel: ImageFile(scans[number]) for number, channel in enumerate(channels) if number in scans}
    return SourceCase(name, image, reference, channels=named)


def _ignore_label(description: dict) -> int | None:
    """Return the label named "ignore", of voxels that are not annotated; None without one."""
    labels = description.get("labels")
    label = labels.get("ignore") if isinstance(labels, dict) else None
    return label if isinstance(label, int) and not isinstance(label, bool) and 0 < label < 256 else None


def _checked_ending(description: dict, path: Path) -> str:
    """Return the file extension; raise InputError if it is not supported."""
    channels, ending = description.get("channel_names"), description.get("file_ending")
    if not isinstance(channels, dict) or not isinstance(ending, str):
        remedy = 'expected "channel_names" and "file_ending"; version 1 is read with --layout decathlon'
        raise InputError(path, "is not a description of nnU-Net v2", remedy)
    if not channels:
        raise InputError(path, "names no channel", 'write "channel_names": {"0": "CT"}, or what it is')
    if ending not in ENDINGS:
        raise InputError(path, f"has files that end in {ending}", f"convert them to one of {', '.join(ENDINGS)}")
    return ending


def _scans(folder: Path, ending: str, number_of_channels: int) -> dict[str, dict[int, Path]]:
    """Return the files in `folder` by case name and number of the channel."""
    scans: dict[str, dict[int, Path]] = {}
    for stem, path in images_in(folder).items():
        numbered = _NUMBERED.fullmatch(stem)
        if ending_of(path) != ending or not numbered or int(numbered[2]) >= number_of_channels:
            numbers = "0000" if number_of_channels == 1 else f"0000 to {number_of_channels - 1:04d}"
            problem = f"is not named CASE_NUMBER{ending} with the number of a channel, {numbers}"
            raise InputError(path, problem, f"rename it, or correct {DESCRIPTION}")
        scans.setdefault(numbered[1], {})[int(numbered[2])] = path
    return scans
