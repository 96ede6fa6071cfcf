"""What a case folder holds, by name: the contract between stage 1 and the others. Standard library only."""

from pathlib import Path

from base.errors import InputError
from base.json_files import read_json

SPLITS = ("train", "val", "test")
IMAGE = "imaging.nii.gz"
REFERENCE = "segmentation.nii.gz"
RESAMPLED_IMAGE = "imaging_rs.nii.gz"
RESAMPLED_REFERENCE = "segmentation_rs.nii.gz"
RECORD = "resampling.json"


def is_listed(path: Path) -> bool:
    """Whether `path` exists, or is a link that leads nowhere: a broken link must not hide its case."""
    return path.exists() or path.is_symlink()


def recorded_patient(folder: Path) -> str:
    """The patient that stage 1 recorded in a case folder; empty where no record can be read, or it names none."""
    try:
        return read_json(folder / RECORD, {"patient?": str}, "").get("patient", "")
    except (OSError, InputError):
        return ""
