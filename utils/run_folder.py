"""The folder of a run's results on one split, SAVE/<run>/<split>/: known by its record. Nothing heavy is imported."""

from pathlib import Path

from base.names import is_of_a_system
from base.own_folders import refuse_foreign

RECORD = "predictions.json"


def refuse_other_folder(folder: Path) -> None:
    """Raise InputError where `folder` holds something, and no results of a run."""
    refuse_foreign(folder, RECORD, "-r")


def holds_results(folder: Path) -> bool:
    """Tell whether `folder` is one of a run's results, or an empty one."""
    return folder.is_dir() and ((folder / RECORD).is_file() or all(is_of_a_system(p.name) for p in folder.iterdir()))
