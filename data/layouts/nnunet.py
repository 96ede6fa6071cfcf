"""Raw data sets of nnU-Net version 2: one file per channel, numbered in its name, and one label file per case."""

from dataclasses import replace
from pathlib import Path

from base.errors import InputError
from data.layouts.description import DESCRIPTION, read_description
from data.layouts.files import ENDINGS, ending_of, image_named, images_in, refuse_references_without_image
from data.layouts.source_case import SourceCase

SHAPE = 'imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz and dataset.json with "channel_names" and "file_ending"'
FOLDER_PER_CASE = False

_CHANNEL = "_0000"


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
    training, test = (_scans(data_folder / name, ending) for name in ("imagesTr", "imagesTs"))
    ignore_label = _ignore_label(description)
    labels = data_folder / "labelsTr"
    refuse_references_without_image(images_in(labels), training)
    cases = [  # a missing label is refused when it is read
        SourceCase(name, path, image_named(labels, name) or labels / f"{name}{ending}")
        for name, path in training.items()
    ]
    cases += [SourceCase(name, path, image_named(data_folder / "labelsTs", name)) for name, path in test.items()]
    return [replace(case, ignore_label=ignore_label) for case in cases]


def _ignore_label(description: dict) -> int | None:
    """Return the label named "ignore", of voxels that are not annotated; None without one."""
    labels = description.get("labels")
    label = labels.get("ignore") if isinstance(labels, dict) else None
    return label if isinstance(label, int) and not isinstance(label, bool) and 0 < label < 256 else None


def _checked_ending(description: dict, path: Path) -> str:
    """Return the file extension; raise InputError if there are several channels or the extension is not supported."""
    channels, ending = description.get("channel_names"), description.get("file_ending")
    if not isinstance(channels, dict) or not isinstance(ending, str):
        remedy = 'expected "channel_names" and "file_ending"; version 1 is read with --layout decathlon'
        raise InputError(path, "is not a description of nnU-Net v2", remedy)
    if len(channels) != 1:
        raise InputError(
            path,
            f"has {len(channels)} channels ({', '.join(str(name) for name in channels.values())})",
            "only images of one channel are read: make a data set of one of them",
        )
    if ending not in ENDINGS:
        raise InputError(path, f"has files that end in {ending}", f"convert them to one of {', '.join(ENDINGS)}")
    return ending


def _scans(folder: Path, ending: str) -> dict[str, Path]:
    """Return the scans in `folder` by case name."""
    for stem, path in images_in(folder).items():
        if ending_of(path) != ending or not stem.endswith(_CHANNEL):
            raise InputError(path, f"is not named CASE{_CHANNEL}{ending}", f"rename it, or correct {DESCRIPTION}")
    return {stem.removesuffix(_CHANNEL): path for stem, path in images_in(folder).items()}
