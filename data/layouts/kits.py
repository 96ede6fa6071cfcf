"""KiTS19, KiTS21 and KiTS23, and the case folders of this program: a folder a case."""

from pathlib import Path

from data.case_folder import IMAGE, SPLITS, recorded_patient
from data.layouts.files import folders_in, image_named
from data.layouts.source_case import SourceCase

SHAPE = "CASE/imaging.nii.gz and CASE/segmentation.nii.gz, all together or in train, val and test"

_REFERENCES = ("segmentation", "aggregated_MAJ_seg")  # the second in KiTS21: the majority of its annotators


def recognises(data_folder: Path) -> bool:
    return any(not case.problem for case in find(data_folder))


def find(data_folder: Path) -> list[SourceCase]:
    """The cases; a folder with a reference alone, as an interrupted download leaves it, is a case to be refused."""
    cases = []
    for split in (None, *SPLITS):
        for folder in folders_in(data_folder / (split or "")):
            image = image_named(folder, "imaging")
            references = (image_named(folder, name) for name in _REFERENCES)
            reference = next(filter(None, references), None)
            if image:
                cases.append(SourceCase(folder.name, image, reference, split, recorded_patient(folder)))
            elif reference:
                problem = f"there is no such scan beside {reference.name}; restore it, or remove the folder"
                cases.append(SourceCase(folder.name, folder / IMAGE, reference, split, problem=problem))
    return cases
