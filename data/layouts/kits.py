"""KiTS19, KiTS21, KiTS23 and the case folders of this program: one folder per case."""

import contextlib
from pathlib import Path

from base.channels import check_channel
from data.case_folder import IMAGE, SPLITS, recorded_channels, recorded_patient
from data.layouts.files import folders_in, image_named, images_in
from data.layouts.source_case import ImageFile, SourceCase

SHAPE = (
    "CASE/imaging.nii.gz (or imaging_T1.nii.gz, ...) and CASE/segmentation.nii.gz, together or in train, val and test"
)
FOLDER_PER_CASE = True

_CHANNEL = "imaging_"
_REFERENCES = ("segmentation", "aggregated_MAJ_seg")  # the second is KiTS21's majority vote of the annotators


def recognises(data_folder: Path) -> bool:
    return any(not case.problem for case in find(data_folder))


def find(data_folder: Path) -> list[SourceCase]:
    """Return the cases; a folder with only a reference (an incomplete download) gives a case with a problem."""
    cases = []
    for split in (None, *SPLITS):
        for folder in folders_in(data_folder / (split or "")):
            image, channels = image_named(folder, "imaging"), {}
            if not image:
                channels = _channels_in(folder)
                image = next((one.path for one in channels.values()), None)
            references = (image_named(folder, name) for name in _REFERENCES)
            reference = next(filter(None, references), None)
            if image:
                patient = recorded_patient(folder)
                cases.append(SourceCase(folder.name, image, reference, split, patient, channels=channels))
            elif reference:
                problem = f"there is no such scan beside {reference.name}; restore it, or remove the folder"
                cases.append(SourceCase(folder.name, folder / IMAGE, reference, split, problem=problem))
    return cases


def _channels_in(folder: Path) -> dict[str, ImageFile]:
    """Return the images of named channels in a case folder, `imaging_T1.nii.gz` and the like.

    The first determines the grid of the case: they are in the order that stage 1 recorded, the others sorted by name.
    """
    channels = {}
    for stem, path in images_in(folder).items():
        with contextlib.suppress(ValueError):  # such as a resampled image
            if stem.startswith(_CHANNEL):
                channels[check_channel(stem.removeprefix(_CHANNEL))] = ImageFile(path)
    known = [name for name in recorded_channels(folder) if name in channels]
    return {name: channels[name] for name in dict.fromkeys([*known, *channels])}
