"""Names of the files in a case folder, as stage 1 writes and later stages read them. Standard library only."""

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
    """Return whether `path` exists or is a broken link, because a broken link must not hide its case."""
    return path.exists() or path.is_symlink()


def recorded_patient(folder: Path) -> str:
    """Return the patient that stage 1 recorded in a case folder, or "" if there is no valid record of one."""
    try:
        return read_json(folder / RECORD, {"patient?": str}, "").get("patient", "")
    except (OSError, InputError):
        return ""
