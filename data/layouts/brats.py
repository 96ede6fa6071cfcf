"""BraTS, MR of brain tumours: one folder per case with a file of each sequence, in the spellings of 2023 and before.

BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1n.nii.gz, -t1c, -t2w, -t2f and -seg      from 2023 on
BraTS20_Training_001/BraTS20_Training_001_t1.nii.gz, _t1ce, _t2, _flair and _seg   before
"""

import re
from pathlib import Path

from data.layouts.files import folders_in, image_named
from data.layouts.source_case import ImageFile, SourceCase

SHAPE = "CASE/CASE-t1n.nii.gz, -t1c, -t2w, -t2f and -seg; or CASE/CASE_t1.nii.gz, _t1ce, _t2, _flair and _seg"
FOLDER_PER_CASE = True

_SPELLINGS = {"-": ("t1n", "t1c", "t2w", "t2f"), "_": ("t1", "t1ce", "t2", "flair")}
_OF_A_PATIENT = re.compile(r"(BraTS-[A-Za-z]+-\d+)-\d{3}")  # the last three digits number the patient's scans


def recognises(data_folder: Path) -> bool:
    return bool(find(data_folder))


def find(data_folder: Path) -> list[SourceCase]:
    """Return the cases, with the sequences that each has."""
    cases = []
    for folder in folders_in(data_folder):
        for mark, names in _SPELLINGS.items():
            files = {name: image_named(folder, f"{folder.name}{mark}{name}") for name in names}
            channels = {name: ImageFile(path) for name, path in files.items() if path}
            if channels:
                image, reference = next(iter(channels.values())).path, image_named(folder, f"{folder.name}{mark}seg")
                scan = _OF_A_PATIENT.fullmatch(folder.name)
                patient = scan[1] if scan else ""
                cases.append(SourceCase(folder.name, image, reference, patient=patient, channels=channels))
                break
    return cases
