"""Figures of a finished run, read from the tables in its folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from base.csv_files import read_table
from base.errors import InputError
from base.label_classes import MEAN
from base.run_files import (
    ANNOTATE_NEXT,
    CALIBRATION,
    COMPARISON,
    KEPT,
    MEMBERS,
    QUALITY,
    RANKINGS,
)
from base.run_record import RunRecord
from utils.comparison.paired_tests import mean_interval, paired
from utils.evaluation.calibration import Reliability
from utils.evaluation.case_measures import MEASURES
from utils.evaluation.reliability_table import pooled
from utils.evaluation.run_results import read_metrics, values_of
from utils.evaluation.summary import summarise
from utils.evaluation.trust_table import TrustTable

_FEWEST_FOR_INTERVAL = 6  # patients; with fewer, intervals by the bootstrap are erratic

Row = Mapping[str, str]  # of a table, fields as text


@dataclass(frozen=True)
class Headline:
    """One measure of one region over the cases where it is defined.

    Attributes:
        low, high: 95% confidence interval of the mean over patients; None where there are too few.
        worst_case: name of the case with the worst value.
    """

    region: str
    measure: str
    cases: int
    patients: int
    mean: float
    low: float | None
    high: float | None
    deviation: float
    median: float
    worst: float
    worst_case: str


@dataclass(frozen=True)
class RunFigures:
    """Results of a run in `folder`, SAVE/<run>/<split>."""

    folder: Path
    record: RunRecord
    rows: Mapping[str, list[dict]]
    trust: TrustTable

    @classmethod
    def read(cls, folder: Path) -> "RunFigures":
        """Read the results of a run.

        Raises:
            InputError: there are none, or they are damaged.
        """
        record = RunRecord.read(folder)
        if record is None or not record.classes:
            raise InputError(folder, "holds no results that can be read", "predict the split again")
        return cls(folder, record, read_metrics(folder), TrustTable.read(folder))

    @property
    def name(self) -> str:
        return self.folder.parent.name

    @property
    def split(self) -> str:
        return self.folder.name

    @property
    def classes(self) -> list[str]:
        """Names of the foreground classes."""
        return list(self.record.classes.shown[1:])

    @property
    def regions(self) -> list[str]:
        """Names of the measured classes and unions."""
        return list(dict.fromkeys(row["class"] for some in self.rows.values() for row in some))

    @property
    def patients(self) -> Mapping[str, str]:
        """Patient of each case, by name."""
        return {case: (self.record.patients or {}).get(case, case) for case in self.rows}

    @property
    def scored(self) -> list[str]:
        """Names of the cases that have a Dice."""
        return [case for case, rows in self.rows.items() if any(row["dice"] is not None for row in rows)]

    @property
    def is_ensemble(self) -> bool:
        """Whether several networks predicted."""
        return len(self.record.networks or {}) > 1

    @property
    def parameters(self) -> int | None:
        """Number of parameters of all networks together; None where an earlier version did not record it."""
        networks = self.record.networks
        return sum(one.parameters for one in networks.values()) if networks else None

    @property
    def seconds(self) -> float | None:
        """Mean time of a case in seconds; None without cases."""
        return self._mean_of("seconds")

    @property
    def peak_memory_mb(self) -> float | None:
        """Largest peak memory of a process in MB; None where it was not measured."""
        known = [rows[0]["peak_memory_mb"] for rows in self.rows.values()]
        return max((value for value in known if value is not None), default=None)

    def _mean_of(self, column: str) -> float | None:
        known = [rows[0][column] for rows in self.rows.values() if rows[0][column] is not None]
        return float(np.mean(known)) if known else None

    def values(self, region: str, measure: str) -> dict[str, float]:
        """Return the values of a measure that are defined, by case; `MEAN` for each case's mean over the classes."""
        if region != MEAN:
            found = values_of(self.rows, region, measure)
            return {case: value for case, value in found.items() if value is not None}
        by_class = [self.values(name, measure) for name in self.classes]
        cases = [case for case in by_class[0] if all(case in some for some in by_class)]
        return {case: float(np.mean([some[case] for some in by_class])) for case in cases}

    @cached_property
    def headlines(self) -> list[Headline]:
        """All measures of the mean over the classes, if there are several, and of all regions."""
        regions = [MEAN, *self.regions] if len(self.classes) > 1 else self.regions
        found = (self._headline(region, measure) for region in regions for measure in MEASURES)
        return [one for one in found if one]

    def headline(self, region: str, measure: str) -> Headline | None:
        """Return one of the headlines; None where no case has a value."""
        return next((one for one in self.headlines if (one.region, one.measure) == (region, measure)), None)

    def _headline(self, region: str, measure: str) -> Headline | None:
        values = self.values(region, measure)
        summary = summarise(values, MEASURES[measure])
        if summary is None:
            return None
        (of_patients,) = paired(values, patients=self.patients)
        low, high = _interval(of_patients, np.inf if measure.endswith("_mm") else 1.0)
        return Headline(
            region,
            measure,
            summary.count,
            len(of_patients),
            float(of_patients.mean()),
            low,
            high,
            summary.deviation,
            summary.median,
            summary.worst,
            summary.worst_case,
        )

    @cached_property
    def reliability(self) -> dict[str, Reliability]:
        """Reliability of the probabilities of each region, over all cases."""
        return pooled(self.table(CALIBRATION))

    def table(self, name: str) -> list[Row]:
        """Return the rows of a table of the run; none where it is not there."""
        return read_table(self.folder / name)

    @property
    def members(self) -> list[Row]:
        """Rows of the members of an ensemble."""
        return self.table(MEMBERS)

    @property
    def rankings(self) -> list[Row]:
        """Rows of the error ranking of uncertainty maps."""
        return self.table(RANKINGS)

    @property
    def comparison(self) -> list[Row]:
        """Rows of the comparison with other runs."""
        return self.table(COMPARISON)

    @property
    def kept(self) -> list[Row]:
        """Rows of the gain that a student keeps."""
        return self.table(KEPT)

    @property
    def quality(self) -> list[Row]:
        """Rows of the quality of predicted Dice."""
        return self.table(QUALITY)

    @property
    def annotate_next(self) -> list[Row]:
        """Rows of the order of annotation."""
        return self.table(ANNOTATE_NEXT)

    def worst_first(self) -> list[str]:
        """Return the cases by rising mean Dice; then those without a reference, by rising predicted Dice."""
        overall = MEAN if len(self.classes) > 1 else self.classes[0]
        dices, predicted = self.values(overall, "dice"), self.trust.column(overall, "predicted_dice")
        last = float("inf")
        return sorted(self.rows, key=lambda case: (dices.get(case, last), predicted.get(case, last), case))


def _interval(values: np.ndarray, largest: float) -> tuple[float | None, float | None]:
    """Return the 95% interval of the mean over patients, (patients,), within 0 and `largest`; None for none."""
    if len(values) < _FEWEST_FOR_INTERVAL:
        return None, None
    low, high = mean_interval(values)
    return (None if low is None else max(0.0, low)), (None if high is None else min(largest, high))
