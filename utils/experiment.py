"""An experiment on disk: SAVE/<experiment>/ with its record, log, checkpoint and final weights."""

import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from base.errors import InputError
from base.json_files import read_json, write_json
from base.own_folders import refuse_foreign
from utils.run_folder import holds_results
from utils.tables import write_table

RECORD = "experiment.json"
LOG = "log.csv"
CURVES = "curves.png"
PROGRESS = "progress.html"
CHECKPOINT = "LAST.pth"
# Where soft labels and initial weights lie, which earlier versions recorded: their content decides, recorded elsewhere.
_MAY_DIFFER = {"versions", "options soft_labels", "options init_weights"}


class Experiment:
    """The folder of one training.

    Args:
        record: what determines the result: options, cases, fingerprints (plain values).
        resume: go on where the experiment stopped; without it, one that exists is refused.

    Raises:
        InputError: the experiment exists and `resume` is not given, or it was begun with another record; or its folder
            holds something else.
    """

    def __init__(self, save_folder: Path, name: str, record: dict, resume: bool):
        self.name = name
        self.folder = save_folder / name
        self._record = record
        self._is_begun_here = False
        refuse_foreign(self.folder, RECORD, "-r", allowed=holds_results)
        path = self.folder / RECORD
        if path.exists():
            if not resume:
                raise InputError(self.folder, "the experiment exists", "go on with --resume, or name another with -r")
            self._check_record(path, record)

    def begin(self) -> None:
        """Write the record, unless the experiment is taken up: from now on, it exists."""
        if not (self.folder / RECORD).exists():
            write_json(self.folder / RECORD, self._record)
            self._is_begun_here = True

    def take_back(self) -> None:
        """Let it be as if the experiment had not begun here, unless there is something to take up."""
        if self._is_begun_here and not self.checkpoint_path.exists():
            for name in (LOG, CURVES, PROGRESS, RECORD):
                (self.folder / name).unlink(missing_ok=True)

    @property
    def checkpoint_path(self) -> Path:
        return self.folder / CHECKPOINT

    @property
    def curves_path(self) -> Path:
        return self.folder / CURVES

    @property
    def progress_path(self) -> Path:
        return self.folder / PROGRESS

    def final_path(self, iterations: int) -> Path:
        return self.folder / f"FINAL_{self.name}_{iterations}.pth"

    def _check_record(self, path: Path, record: dict) -> None:
        begun = read_json(path, {str: object}, "restore it, or name another experiment with -r")
        for key, old, new in _differences(begun, json.loads(json.dumps(record))):
            raise InputError(path, f"was begun with {key} {old}, not {new}", "resume with the same, or use -r")

    def write_log(self, rows: Sequence[dict]) -> None:
        """Write all rows of the training's log."""
        write_table(self.folder / LOG, list(rows[0]), rows)


def _differences(old: dict, new: dict, prefix: str = ""):
    """Yield (key, old value, new value) where two records differ; versions of software may, and where files lie."""
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if f"{prefix}{key}" in _MAY_DIFFER:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after, f"{prefix}{key} ")
        elif before != after:
            yield f"{prefix}{key}", before, after


def experiment_name(
    seed: int,
    architecture: str,
    receptive_field: int,
    sample_size: int,
    classes: str,
    loss: str,
    iterations: int,
    student: str,
    fold: str,
) -> str:
    """Name of an experiment from what tells it apart; `student` and `fold` may be empty."""
    sizes = [f"rf{receptive_field}", f"s{sample_size}"]
    parts = [architecture, *sizes, f"c{classes}", loss, student, fold, f"i{iterations}"]
    return "_".join([*(part for part in parts if part), f"x{seed}"])


def versions() -> dict[str, str]:
    """Versions of what computes the result."""
    return {"python": platform.python_version()} | {name: version(name) for name in ("torch", "numpy", "SimpleITK")}
