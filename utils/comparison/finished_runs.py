"""Runs whose cases are all predicted and measured, as a comparison reads them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from base.errors import InputError
from base.run_files import METRICS, RECORD
from utils.comparison.paired_tests import MEAN, Values, with_mean
from utils.evaluation.case_measures import MEASURES
from utils.evaluation.run_results import name_of, read_metrics, read_record, same_content, values_of

_NEEDED = ("cases", "classes", "networks", "regions", "tolerance_mm", "weights")


@dataclass(frozen=True)
class FinishedRun:
    """The results of a run on one split: what predicted, and the rows of `read_metrics`."""

    name: str
    folder: Path
    record: dict
    rows: dict[str, list[dict]]

    @classmethod
    def read(cls, save_folder: Path, name: str, split: str) -> "FinishedRun":
        """Read `save_folder`/`name`/`split`.

        Raises:
            InputError: there are no results, they are damaged or of an earlier version, or cases are missing.
        """
        folder = save_folder / name / split
        remedy = f"run testing_network.py or ensemble.py with -r {name} -e {split}"
        record = read_record(folder)
        if not record:
            raise InputError(folder, f"there is no {RECORD} that can be read", remedy)
        for key in _NEEDED:
            if key not in record:
                raise InputError(folder / RECORD, f"does not tell {key}", f"{remedy} again: what is predicted stays")
        if not record["networks"] or (record["weights"] and record["networks"].keys() != record["weights"].keys()):
            raise InputError(folder / RECORD, "does not tell every network", f"{remedy} again: what is predicted stays")
        run = cls(name, folder, record, read_metrics(folder))
        for case in record["cases"]:
            if case not in run.rows:
                raise InputError(folder / METRICS, f"{case} is missing: the run is not finished", remedy)
        return run

    @property
    def networks(self) -> list[dict]:
        """What is known of each network that predicted."""
        return list(self.record["networks"].values())

    @property
    def is_ensemble(self) -> bool:
        return len(self.networks) > 1

    @property
    def is_student(self) -> bool:
        return not self.is_ensemble and self.networks[0]["is_student"]

    @property
    def parameters(self) -> int:
        """Of all networks together."""
        return sum(network["parameters"] for network in self.networks)

    @property
    def seconds(self) -> float:
        """Mean time of a case."""
        return float(np.mean([rows[0]["seconds"] for rows in self.rows.values()]))

    @property
    def peak_memory_mb(self) -> float | None:
        """The largest of any process that worked on the run; None where none was measured."""
        known = [rows[0]["peak_memory_mb"] for rows in self.rows.values()]
        return max((value for value in known if value is not None), default=None)

    @property
    def patients(self) -> dict[str, str]:
        """The patient of each case, by name; the case itself where earlier versions did not record it."""
        return {case: self.record.get("patients", {}).get(case, case) for case in self.record["cases"]}

    @property
    def classes(self) -> list[str]:
        """Names of the foreground classes."""
        return self.record["classes"]["names"][1:]

    @property
    def overall(self) -> str:
        """Under which class's name `values` hold the one that stands for all: their mean, if there are several."""
        return MEAN if len(self.classes) > 1 else self.classes[0]

    @cached_property
    def values(self) -> Values:
        """Every measure of every class and region, and of the mean over several classes."""
        values = {
            (region, measure): values_of(self.rows, region, measure)
            for region in self.record["regions"]
            for measure in MEASURES
        }
        return with_mean(values, self.classes)


def check_alike(name: str, record: dict, other: FinishedRun) -> None:
    """Raise InputError where `other` is not of the cases and classes of the run `name`, or not measured alike.

    Args:
        record: of the run `name`.
    """
    if other.record["classes"] != record["classes"]:
        theirs, own = (",".join(some["classes"]["names"]) for some in (other.record, record))
        raise InputError(other.folder, f"has classes {theirs}, {name} {own}", "compare runs of the same classes")
    if other.record["tolerance_mm"] != record["tolerance_mm"]:
        problem = f"has --tolerance-mm {other.record['tolerance_mm']:g}, {name} {record['tolerance_mm']:g}"
        raise InputError(other.folder, problem, "measure both alike")
    theirs, own = other.record.get("surface_dice"), record.get("surface_dice")
    if theirs != own:
        problem = f"has {name_of(theirs)}, {name} {name_of(own)}"
        raise InputError(other.folder, problem, f"run {name if theirs else other.name} again with --overwrite")
    if not set(other.classes) <= set(other.record["regions"]):
        problem = "does not name what was measured"
        raise InputError(other.folder / RECORD, problem, f"run {other.name} again, with --overwrite")
    theirs, own = other.record["cases"], record["cases"]
    for case in sorted(theirs.keys() ^ own.keys()):
        have, lack = (name, other.name) if case in own else (other.name, name)
        raise InputError(other.folder, f"{case} is a case of {have}, not of {lack}", f"run {lack} again")
    for case, fingerprint in own.items():
        if not same_content(theirs[case], fingerprint):
            problem = f"{case} was another scan, reference or voxel grid than in {name}"
            raise InputError(other.folder, problem, f"run {other.name} again")
