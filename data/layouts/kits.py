"""KiTS19, KiTS21, KiTS23 and the case folders of this program: one folder per case."""

from pathlib import Path

from data.case_folder import IMAGE, SPLITS, recorded_patient
from data.layouts.files import folders_in, image_named
from data.layouts.source_case import SourceCase

SHAPE = "CASE/imaging.nii.gz and CASE/segmentation.nii.gz, all together or in train, val and test"
FOLDER_PER_CASE = True

_REFERENCES = ("segmentation", "aggregated_MAJ_seg")  # the second is KiTS21's majority vote of the annotators


def recognises(data_folder: Path) -> bool:
    return any(not case.problem for case in find(data_folder))


def find(data_folder: Path) -> list[SourceCase]:
    """Return the cases; a folder with only a reference (an incomplete download) gives a case with a problem."""
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
