"""ACDC, cardiac MR: one folder per patient, in which two frames of the cardiac cycle are cases.

The frames at end-diastole (ED) and end-systole (ES) have references; Info.cfg gives their numbers. The series of all
frames, PATIENT_4d.nii.gz, is ignored.
"""

from pathlib import Path

from base.text_files import decode
from data.case_folder import is_listed
from data.layouts.files import folders_in, image_named
from data.layouts.source_case import SourceCase

SHAPE = "PATIENT/PATIENT_frame01.nii.gz, PATIENT/PATIENT_frame01_gt.nii.gz and PATIENT/Info.cfg"
FOLDER_PER_CASE = True
FRAMES = ("ED", "ES", "both")

_INFO = "Info.cfg"
_INFO_BYTES = 2**16  # largest part of Info.cfg that is read
_OWN_SPLITS = {"training": "train", "testing": "test"}


def recognises(data_folder: Path) -> bool:
    return bool(_patients(data_folder))


def find(data_folder: Path, frames: str = "both") -> list[SourceCase]:
    """Return the cases of the given `FRAMES`; the folders training and testing give the splits train and test."""
    cases = []
    for folder, split in _patients(data_folder):
        try:
            numbers = _frame_numbers(folder / _INFO, frames)
        except ValueError as error:  # only this patient is refused
            cases.append(SourceCase(folder.name, folder / _INFO, None, split, folder.name, problem=str(error)))
            continue
        for number in numbers:
            name = f"{folder.name}_frame{number:02d}"
            image = image_named(folder, name) or folder / f"{name}.nii.gz"  # a missing file is refused when it is read
            cases.append(SourceCase(name, image, image_named(folder, f"{name}_gt"), split, patient=folder.name))
    return cases


def _patients(data_folder: Path) -> list[tuple[Path, str | None]]:
    """Return the folders of patients, each with its split."""
    parents = [(data_folder, None), *((data_folder / name, split) for name, split in _OWN_SPLITS.items())]
    return [(folder, split) for parent, split in parents for folder in folders_in(parent) if _is_patient(folder)]


def _is_patient(folder: Path) -> bool:
    frames = (path for path in folder.iterdir() if path.name.startswith(f"{folder.name}_frame"))
    return is_listed(folder / _INFO) or any(frames)


def _frame_numbers(info: Path, frames: str) -> list[int]:
    """Return the frame numbers in Info.cfg; raise ValueError if it is missing or has none."""
    if not info.is_file():
        raise ValueError("there is no such file; restore it: it says which frames are ED and ES")
    try:
        content = decode(info.read_bytes()[:_INFO_BYTES])
        values = {key.strip(): value for key, _, value in (line.partition(":") for line in content.splitlines())}
        numbers = [int(values[phase]) for phase in ("ED", "ES") if frames in (phase, "both")]
    except (OSError, ValueError, KeyError):
        numbers = []
    if not numbers or not all(0 <= number < 1000 for number in numbers):
        raise ValueError("does not say which frames are ED and ES; write lines such as ED: 1")
    return numbers
