"""Finished runs: every case predicted and measured, ready to be compared."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from base.errors import InputError
from base.label_classes import MEAN
from base.run_files import METRICS, RECORD
from base.run_record import NetworkSummary, RunRecord
from utils.comparison.paired_tests import Values, with_mean
from utils.evaluation.case_measures import MEASURES
from utils.evaluation.run_results import name_of, read_metrics, same_content, values_of

_NEEDED = ("cases", "classes", "networks", "regions", "tolerance_mm", "weights")


@dataclass(frozen=True)
class FinishedRun:
    """Results of a run on one split: its record, and the rows of `read_metrics`."""

    name: str
    folder: Path
    record: RunRecord
    rows: dict[str, list[dict]]

    @classmethod
    def read(cls, save_folder: Path, name: str, split: str) -> "FinishedRun":
        """Read `save_folder`/`name`/`split`.

        Raises:
            InputError: there are no results, they are damaged or of an earlier version, or cases are missing.
        """
        folder = save_folder / name / split
        remedy = f"run testing_network.py or ensemble.py with -r {name} -e {split}"
        record = RunRecord.read(folder)
        if record is None:
            raise InputError(folder, f"there is no {RECORD} that can be read", remedy)
        for key in _NEEDED:
            if getattr(record, key) is None:
                raise InputError(folder / RECORD, f"does not tell {key}", f"{remedy} again: what is predicted stays")
        if not record.networks or (record.weights and record.networks.keys() != record.weights.keys()):
            raise InputError(folder / RECORD, "does not tell every network", f"{remedy} again: what is predicted stays")
        run = cls(name, folder, record, read_metrics(folder))
        for case in record.cases:
            if case not in run.rows:
                raise InputError(folder / METRICS, f"{case} is missing: the run is not finished", remedy)
        return run

    @property
    def networks(self) -> list[NetworkSummary]:
        """Facts about each network that predicted."""
        return list(self.record.networks.values())

    @property
    def is_ensemble(self) -> bool:
        """Whether several networks predicted."""
        return len(self.networks) > 1

    @property
    def is_student(self) -> bool:
        """Whether one network predicted, and it is a student."""
        return not self.is_ensemble and self.networks[0].is_student

    @property
    def parameters(self) -> int:
        """Number of parameters of all networks together."""
        return sum(network.parameters for network in self.networks)

    @property
    def seconds(self) -> float:
        """Mean time of a case in seconds."""
        return float(np.mean([rows[0]["seconds"] for rows in self.rows.values()]))

    @property
    def peak_memory_mb(self) -> float | None:
        """Largest peak memory of any process of the run, in MB; None where none was measured."""
        known = [rows[0]["peak_memory_mb"] for rows in self.rows.values()]
        return max((value for value in known if value is not None), default=None)

    @property
    def patients(self) -> dict[str, str]:
        """Patient of each case, by name; the case itself where earlier versions did not record it."""
        return {case: (self.record.patients or {}).get(case, case) for case in self.record.cases}

    @property
    def classes(self) -> list[str]:
        """Names of the foreground classes."""
        return list(self.record.classes.shown[1:])

    @property
    def overall(self) -> str:
        """Name in `values` that stands for all classes: their mean, or the only class."""
        return MEAN if len(self.classes) > 1 else self.classes[0]

    @cached_property
    def values(self) -> Values:
        """Values of every measure, class and region, and of the mean over several classes."""
        values = {
            (region, measure): values_of(self.rows, region, measure)
            for region in self.record.regions
            for measure in MEASURES
        }
        return with_mean(values, self.classes)


def check_alike(name: str, record: RunRecord, other: FinishedRun) -> None:
    """Raise InputError unless `other` has the cases and classes of the run `name`, and is measured alike.

    Args:
        record: of the run `name`.
    """
    theirs = other.record
    if (theirs.classes, theirs.classes.shown) != (record.classes, record.classes.shown):
        own, others = (",".join(one.classes.shown) for one in (record, theirs))
        problem = f"has classes {others}, {name} {own}"
        raise InputError(other.folder, problem, "compare runs of the same classes")
    if theirs.tolerance_mm != record.tolerance_mm:
        problem = f"has --tolerance-mm {theirs.tolerance_mm:g}, {name} {record.tolerance_mm:g}"
        raise InputError(other.folder, problem, "measure both alike")
    if theirs.surface_dice != record.surface_dice:
        problem = f"has {name_of(theirs.surface_dice)}, {name} {name_of(record.surface_dice)}"
        outdated = name if theirs.surface_dice else other.name
        raise InputError(other.folder, problem, f"run {outdated} again with --overwrite")
    if not set(other.classes) <= set(theirs.regions):
        problem = "does not name what was measured"
        raise InputError(other.folder / RECORD, problem, f"run {other.name} again, with --overwrite")
    for case in sorted(theirs.cases.keys() ^ record.cases.keys()):
        have, lack = (name, other.name) if case in record.cases else (other.name, name)
        raise InputError(other.folder, f"{case} is a case of {have}, not of {lack}", f"run {lack} again")
    for case, content in record.cases.items():
        if not same_content(theirs.cases[case], content):
            problem = f"{case} was another scan, reference or voxel grid than in {name}"
            raise InputError(other.folder, problem, f"run {other.name} again")
