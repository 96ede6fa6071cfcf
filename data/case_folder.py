"""Names of the files in a case folder, as stage 1 writes and later stages read them. Standard library only."""

from pathlib import Path

from base.errors import InputError
from base.json_files import read_json

SPLITS = ("train", "val", "test")
IMAGE = "imaging.nii.gz"  # of a scan of one channel, which needs no name
REFERENCE = "segmentation.nii.gz"
RESAMPLED_IMAGE = "imaging_rs.nii.gz"
RESAMPLED_REFERENCE = "segmentation_rs.nii.gz"
RECORD = "resampling.json"


def image_name(channel: str) -> str:
    """Return the file name of a channel's image: `imaging_T1.nii.gz`, or `imaging.nii.gz` of the one without a name."""
    return f"imaging_{channel}.nii.gz" if channel else IMAGE


def resampled_image_name(channel: str) -> str:
    """Return the file name of a channel's resampled image."""
    return f"imaging_{channel}_rs.nii.gz" if channel else RESAMPLED_IMAGE


def image_kind(channel: str) -> str:
    """Return the key of a channel's image in the record of stage 1."""
    return f"image_{channel}" if channel else "image"


def is_listed(path: Path) -> bool:
    """Return whether `path` exists or is a broken link, because a broken link must not hide its case."""
    return path.exists() or path.is_symlink()


def recorded_patient(folder: Path) -> str:
    """Return the patient that stage 1 recorded in a case folder, or "" if there is no valid record of one."""
    return _recorded(folder, {"patient?": str}).get("patient", "")


def recorded_options(folder: Path) -> dict:
    """Return the options with which stage 1 resampled a case folder, {} if there is no valid record of them."""
    return _recorded(folder, {"options?": {str: object}}).get("options", {})


def recorded_channels(folder: Path) -> list[str]:
    """Return the channels that stage 1 recorded in a case folder, in their order, [] if there is no valid record."""
    return _recorded(folder, {"channels?": [str]}).get("channels", [])


def _recorded(folder: Path, shape: dict) -> dict:
    try:
        return read_json(folder / RECORD, shape, "")
    except (OSError, InputError):
        return {}
