"""An experiment on disk: SAVE/<experiment>/ with its record, log, checkpoint and final weights."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from base.csv_files import write_table
from base.errors import InputError
from base.json_files import read_json, write_json
from base.label_classes import LabelClasses, check_classes
from base.own_folders import refuse_foreign
from base.run_files import holds_results

RECORD = "experiment.json"
LOG = "log.csv"
CURVES = "curves.png"
PROGRESS = "progress.html"
CHECKPOINT = "LAST.pth"
_REMEDY = "restore it, or name another experiment with -r"
_RECORD_SHAPE = {
    "iterations?": int,
    "classes?": check_classes,
    "initial_weights?": (None, {str: str}),
    "soft_labels?": (None, {str: object}),
}
# Keys that may differ. Paths of soft labels and initial weights, which earlier versions recorded: content decides.
# Patients, intensities and sizes of scans, which earlier versions did not record: they follow from the cases.
_MAY_DIFFER = {"versions", "options soft_labels", "options init_weights", "training_patients", "initial_patients"}
_MAY_DIFFER |= {"intensities", "scans", "options checkpoint_every"}
_ADDED = {"grids_fingerprint"}  # keys that earlier versions did not record
_SHOWN = 120  # letters of a value, in messages
_INITIAL = ("initial_weights", "initial_cases", "initial_patients")


@dataclass(frozen=True)
class Begun:
    """An experiment that is resumed: its `record`, empty for a new one, and how far it came.

    Initial weights are known by content, and no longer needed once there is a checkpoint.
    """

    record: dict
    is_finished: bool = False
    has_checkpoint: bool = False

    @classmethod
    def read(cls, folder: Path, resume: bool) -> "Begun":
        """Read the record in the experiment's `folder`, with `resume` only.

        Raises:
            InputError: the record is damaged.
        """
        try:
            record = read_json(folder / RECORD, _RECORD_SHAPE, _REMEDY) if resume else {}
        except FileNotFoundError:
            record = {}
        if not record:
            return cls({})
        final = folder / f"FINAL_{folder.name}_{record.get('iterations')}.pth"
        return cls(record, final.exists(), (folder / CHECKPOINT).exists())

    @property
    def is_finished_student(self) -> bool:
        """Whether it is a finished student, whose soft labels are no longer needed."""
        return self.is_finished and bool(self.record.get("soft_labels"))

    @property
    def classes(self) -> LabelClasses:
        """Classes of the experiment."""
        return LabelClasses.from_json(self.record["classes"])

    @property
    def initial(self) -> dict:
        """Recorded fields of the weights that training began with."""
        return {key: self.record[key] for key in _INITIAL if key in self.record}

    def needs_no_initial_weights(self, path: Path | None) -> bool:
        """Tell whether it resumes without its initial weights, which are not at `path`, or not named at all."""
        is_further = self.is_finished or self.has_checkpoint
        return is_further and bool(self.record.get("initial_weights")) and not (path and path.exists())


class Experiment:
    """Folder of one training.

    Args:
        record: everything that determines the result: options, cases, fingerprints (plain values).
        resume: whether an experiment that exists is resumed instead of refused.

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
        """Write the record, unless the experiment is resumed: from now on, it exists."""
        if not (self.folder / RECORD).exists():
            write_json(self.folder / RECORD, self._record)
            self._is_begun_here = True

    def take_back(self) -> None:
        """Remove the files of an experiment that began here, unless it can be resumed."""
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
        begun = read_json(path, {str: object}, _REMEDY)
        for key, old, new in _differences(begun, json.loads(json.dumps(record))):
            problem = f"was begun with {key} {_short(old)}, not {_short(new)}"
            if key.startswith(_INITIAL[0]):
                names = ", ".join(begun.get(_INITIAL[0]) or ())
                how = f"with other --init-weights, of {names}" if names else "without --init-weights"
                problem = f"was begun {how}"
            raise InputError(path, problem, "resume with the same, or use -r")

    def write_log(self, rows: Sequence[dict]) -> None:
        """Write all rows of the training log."""
        write_table(self.folder / LOG, list(rows[0]), rows)


def _differences(old: dict, new: dict, prefix: str = ""):
    """Yield (key, old value, new value) where two records differ, except in versions of software and paths."""
    for key in sorted({*old, *new}, key=lambda key: (key != _INITIAL[0], key)):
        before, after = old.get(key), new.get(key)
        if f"{prefix}{key}" in _MAY_DIFFER or (key in _ADDED and key not in old):
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after, f"{prefix}{key} ")
        elif before != after:
            yield f"{prefix}{key}", before, after


def _short(value) -> str:
    """Return a value as text, without the middle of a long one."""
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]} ... {text[-_SHOWN // 2 :]}"
