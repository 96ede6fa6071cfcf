"""SegTHOR: one folder per patient, which contains a scan of the same name; test patients have no reference."""

from pathlib import Path

from data.layouts.files import folders_in, image_named
from data.layouts.source_case import SourceCase

SHAPE = "PATIENT/PATIENT.nii.gz and PATIENT/GT.nii.gz"
FOLDER_PER_CASE = True


def recognises(data_folder: Path) -> bool:
    return any(image_named(folder, folder.name) for folder in folders_in(data_folder))


def find(data_folder: Path) -> list[SourceCase]:
    """Return the cases; a folder with only a reference (an incomplete download) gives a case with a problem."""
    cases = []
    for folder in folders_in(data_folder):
        image, reference = image_named(folder, folder.name), image_named(folder, "GT")
        if image:
            cases.append(SourceCase(folder.name, image, reference))
        elif reference:
            path = folder / f"{folder.name}.nii.gz"
            problem = f"there is no such scan beside {reference.name}; correct its name, or remove the folder"
            cases.append(SourceCase(folder.name, path, reference, problem=problem))
    return cases
