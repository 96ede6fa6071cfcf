"""The file dataset.json, with which the Decathlon, MONAI and nnU-Net describe data sets in different formats."""

from pathlib import Path

from base.errors import InputError
from base.json_files import read_json

DESCRIPTION = "dataset.json"

_OTHERS = ("dataset*.json", "datalist*.json")  # names of lists in MONAI's examples
_REMEDY = "restore it, or remove it and name the layout with --layout"


def description_of(data_folder: Path) -> Path:
    """Return the path of dataset.json, or of the only list of cases under another name used by MONAI's examples.

    Raises:
        InputError: there is no dataset.json, but several such lists.
    """
    path = data_folder / DESCRIPTION
    if path.exists():
        return path
    others = sorted({other for pattern in _OTHERS for other in data_folder.glob(pattern)})
    lists = [other for other in others if "training" in _read(other)]
    if len(lists) > 1:
        names = ", ".join(other.name for other in lists)
        raise InputError(
            data_folder, f"holds several lists of cases: {names}", f"rename the one to use to {DESCRIPTION}"
        )
    return lists[0] if lists else path


def read_description(data_folder: Path) -> dict:
    """Return the content of dataset.json or of a MONAI list, or an empty dict if there is no such file.

    Raises:
        InputError: the file is not a JSON object, or there are several lists.
    """
    try:
        return _read(description_of(data_folder))
    except FileNotFoundError:
        return {}


def _read(path: Path) -> dict:
    return read_json(path, {str: object}, _REMEDY, "is not a JSON object")
