"""KiTS19, KiTS21 and KiTS23, and the case folders of this program: a folder a case."""

from pathlib import Path

from data.case_folder import SPLITS, recorded_patient
from data.layouts.files import folders_in, image_named
from data.layouts.source_case import SourceCase

SHAPE = "CASE/imaging.nii.gz and CASE/segmentation.nii.gz, all together or in train, val and test"

_REFERENCES = ("segmentation", "aggregated_MAJ_seg")  # the second in KiTS21: the majority of its annotators


def recognises(data_folder: Path) -> bool:
    return bool(find(data_folder))


def find(data_folder: Path) -> list[SourceCase]:
    cases = []
    for split in (None, *SPLITS):
        for folder in folders_in(data_folder / (split or "")):
            image = image_named(folder, "imaging")
            references = (image_named(folder, name) for name in _REFERENCES)
            if image:
                reference = next(filter(None, references), None)
                cases.append(SourceCase(folder.name, image, reference, split, recorded_patient(folder)))
    return cases
