"""The file dataset.json, by which the Decathlon, MONAI and nnU-Net describe their data sets, each in its own way."""

from pathlib import Path

from base.errors import InputError
from base.json_files import read_json

DESCRIPTION = "dataset.json"

_OTHERS = ("dataset*.json", "datalist*.json")  # as MONAI's examples name their lists
_REMEDY = "restore it, or remove it and name the layout with --layout"


def description_of(data_folder: Path) -> Path:
    """Where the description lies: dataset.json, or else the one list of cases that MONAI's examples name otherwise.

    Raises:
        InputError: there is no dataset.json, and several such lists.
    """
    path = data_folder / DESCRIPTION
    if path.exists():
        return path
    others = sorted({other for pattern in _OTHERS for other in data_folder.glob(pattern)})
    lists = [other for other in others if "training" in _read(other)]
    if len(lists) > 1:
        names = ", ".join(other.name for other in lists)
        raise InputError(
            data_folder, f"holds several lists of cases: {names}", f"name the one that counts {DESCRIPTION}"
        )
    return lists[0] if lists else path


def read_description(data_folder: Path) -> dict:
    """Content of dataset.json, or of a list of MONAI's; empty where there is no such file.

    Raises:
        InputError: the file is no JSON object, or there are several lists.
    """
    try:
        return _read(description_of(data_folder))
    except FileNotFoundError:
        return {}


def _read(path: Path) -> dict:
    return read_json(path, {str: object}, _REMEDY, "is no JSON object")
