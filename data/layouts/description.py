"""The file dataset.json, by which the Decathlon and nnU-Net describe their data sets, each in its own way."""

import json
from pathlib import Path

from base.errors import InputError

DESCRIPTION = "dataset.json"


def read_description(data_folder: Path) -> dict:
    """Content of dataset.json; empty where there is no such file.

    Raises:
        InputError: the file is no JSON object.
    """
    path = data_folder / DESCRIPTION
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise InputError(path, "is no JSON object", "restore it, or remove it and name the layout with --layout")
    return content
