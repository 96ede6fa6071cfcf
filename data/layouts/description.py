"""The file dataset.json, by which the Decathlon and nnU-Net describe their data sets, each in its own way."""

from pathlib import Path

from base.json_files import read_json

DESCRIPTION = "dataset.json"


def read_description(data_folder: Path) -> dict:
    """Content of dataset.json; empty where there is no such file.

    Raises:
        InputError: the file is no JSON object.
    """
    remedy = "restore it, or remove it and name the layout with --layout"
    try:
        return read_json(data_folder / DESCRIPTION, {str: object}, remedy, "is no JSON object")
    except FileNotFoundError:
        return {}
