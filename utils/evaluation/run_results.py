"""Results of a run on one split: a row of measures and an overlay for each case, a summary.

SAVE/<run>/<split>/predictions.json     the record of the run, so that runs are never mixed
                   metrics.csv
                   <case>_prediction.nii.gz, <case>_overlay.png
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from base.csv_files import read_table, rounded
from base.errors import InputError
from base.intensity_records import Range
from base.regions import Region
from base.run_files import (
    CALIBRATION,
    METRICS,
    TRUST,
    overlay_path,
    prediction_path,
    refuse_other_folder,
    remove_results,
)
from base.run_record import RunRecord
from utils.evaluation import reliability_table, trust_table
from utils.evaluation.case_measures import MEASURES, VOLUMES, Probabilities, Segmentation, measure_case, reliability_of
from utils.evaluation.case_table import CaseTable
from utils.evaluation.dice_estimates import DiceEstimate
from utils.evaluation.overlay import ShownCase, plot_overlay
from utils.evaluation.shown_slices import DoubtMap
from utils.evaluation.summary import Summary, summarise
from utils.evaluation.surface_dice import DEFINITION
from utils.runtime.peak_memory import peak_memory_mb
from utils.runtime.processes import ALONE, Processes

_ADDED = ("peak_memory_mb", "intensity_warning")  # columns that earlier versions did not write
COLUMNS = ("case", "class", *MEASURES, *VOLUMES, "seconds", *_ADDED)


@dataclass(frozen=True)
class CaseResult:
    """Result of one case.

    Attributes:
        name: of the case.
        segmentation: scan, prediction and reference on the scan's own grid.
        probabilities: that the prediction was made from, on the resampled grid.
        seconds: from reading the scan to the written prediction.
        intensity_warning: whether the intensities are unlike those of the training scans; None where unknown.
        window: intensities that the overlay shows in black and white; None to choose them by the scan.
        doubt: where the prediction is doubtful, to choose the slices of a case without a reference.
        estimates: of the Dice of each region, by name.
    """

    name: str
    segmentation: Segmentation
    probabilities: Probabilities
    seconds: float
    intensity_warning: bool | None = None
    window: Range | None = None
    doubt: DoubtMap | None = None
    estimates: Mapping[str, DiceEstimate] = field(default_factory=dict)


class RunResults:
    """Results of a run in `folder`; earlier results of the same run are kept as far as they still hold.

    Args:
        record: of the run; results of another record are never mixed with these. A case whose content, or the
            prediction that it is clipped to, changed since is done again.
        regions: measured classes, then unions of them.
        processes: that share the cases; the first must begin before the others do.

    Raises:
        InputError: the folder holds results of another record, measured otherwise, or of cases that are not in the
            split, and `overwrite` is not given.
    """

    def __init__(
        self,
        folder: Path,
        record: RunRecord,
        regions: Sequence[Region],
        overwrite: bool,
        processes: Processes = ALONE,
    ):
        self.folder = folder
        self._regions = regions
        self._tolerance_mm = record.tolerance_mm
        if processes.is_first:
            refuse_other_folder(folder)
        earlier = RunRecord.read(folder)
        self._definition = definition_of(folder, overwrite)
        record = replace(record, surface_dice=self._definition)
        before = None if overwrite else earlier
        known, known_clips = (before.cases or {}, before.clips) if before else ({}, {})
        if before and before.surface_dice != self._definition:  # no row is left: rows of other processes do not hold
            known, known_clips = {}, {}
        if before:
            self._check_record(before, record)
            rows = read_metrics(folder)  # may be damaged
            self._check_cases(known or rows, record.cases)
        kept = [
            name
            for name, content in record.cases.items()
            if before and same_content(known.get(name), content) and known_clips.get(name) == record.clips.get(name)
        ]
        if not self._definition:
            rows = read_metrics(folder)
            if not all(name in kept and name in rows and self.prediction_path(name).is_file() for name in record.cases):
                raise self._measured_otherwise()
        # The table first: a record never vouches for rows of an earlier one.
        if processes.is_first and not before:
            _remove_earlier(folder, earlier, record)
        self._table = CaseTable(folder / METRICS, COLUMNS, kept, processes, _ADDED)
        self._reliability = CaseTable(folder / CALIBRATION, reliability_table.COLUMNS, kept, processes)
        self._trust = CaseTable(folder / TRUST, trust_table.COLUMNS, kept, processes)
        if processes.is_first:
            record.write(folder)

    def _measured_otherwise(self) -> InputError:
        """Return the error for rows of two definitions of the surface Dice, which are never mixed."""
        problem = f"holds {name_of(self._definition)}, and cases are to be measured by {DEFINITION}"
        return InputError(self.folder, problem, "choose another run name with -r, or --overwrite")

    def _check_record(self, before: RunRecord, record: RunRecord) -> None:
        for key, earlier, own in record.differences(before):
            problem = f"holds predictions with {key} {earlier}, not {own}"
            raise InputError(self.folder, problem, "choose another run name with -r, or --overwrite")

    def _check_cases(self, known: Iterable[str], cases: Container[str]) -> None:
        """Raise InputError where there are predictions of `known` cases that the split does not hold."""
        others = [name for name in known if name not in cases and self.prediction_path(name).is_file()]
        if others:
            some = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
            raise InputError(
                self.folder,
                f"holds {len(others)} predictions of cases that are not in the split ({some})",
                "choose another run name with -r for other data; to give these up, remove them or --overwrite",
            )

    def prediction_path(self, case_name: str) -> Path:
        """Return the path of the prediction of a case."""
        return prediction_path(self.folder, case_name)

    def is_done(self, case_name: str) -> bool:
        """Tell whether the case is predicted and its row written."""
        return case_name in self._table and self.prediction_path(case_name).is_file()

    def add(self, result: CaseResult) -> None:
        """Plot and measure one case; without a reference it is not scored.

        Raises:
            InputError: the other cases were measured by an earlier version, otherwise.
        """
        if not self._definition:
            raise self._measured_otherwise()
        cost = {"seconds": result.seconds, "peak_memory_mb": peak_memory_mb()}
        cost["intensity_warning"] = None if result.intensity_warning is None else int(result.intensity_warning)
        rows = measure_case(result.segmentation, result.probabilities, self._regions, self._tolerance_mm)
        self._plot(result, rows)
        reliabilities = reliability_of(result.probabilities, self._regions)
        for table, more in (
            (self._reliability, reliability_table.rows_of(reliabilities)),
            (self._trust, trust_table.rows_of(result.estimates)),
        ):
            if more:
                table.add(result.name, map(rounded, more))
        self._table.add(result.name, [rounded(row | cost) for row in rows])

    def _plot(self, result: CaseResult, measures: Sequence[dict]) -> None:
        """Plot the overlay of one case."""
        run = f"{self.folder.parent.name}, {self.folder.name}"
        classes = [(region.name, region.labels[0]) for region in self._regions if len(region.labels) == 1]
        shown = ShownCase(result.name, run, result.segmentation, classes, measures, result.window, result.doubt)
        plot_overlay(overlay_path(self.folder, result.name), shown)

    def gather(self) -> None:
        """Merge the measures of all processes into one table: in the first process, after all have added theirs."""
        for table in (self._reliability, self._trust, self._table):
            table.gather()

    def print_summary(self) -> None:
        """Print mean ± sd, median and worst case of every measure and region."""
        rows = read_metrics(self.folder)
        how = f"{name_of(self._definition)}, at {self._tolerance_mm:g} mm"
        print(f"\n{len(rows)} cases in {self.folder / METRICS} ({how})")
        print(f"{'class':>8} {'measure':>16} {'mean':>8} {'± sd':>8} {'median':>8} {'worst':>8}  in case")
        for name in (region.name for region in self._regions):
            for measure, higher_is_better in MEASURES.items():
                summary = summarise_measure(rows, name, measure, higher_is_better)
                if summary:
                    print(
                        f"{name:>8} {measure:>16} {summary.mean:8.4f} {summary.deviation:8.4f} {summary.median:8.4f}"
                        f" {summary.worst:8.4f}  {summary.worst_case} (of {summary.count})"
                    )
        if in_part := annotated_in_part(rows):
            print(f"note: {len(in_part)} references are annotated in part: their Dice counts annotated voxels alone")
        seconds = [some[0]["seconds"] for some in rows.values()]
        print(f"{np.mean(seconds):.2f} s per case")


def same_content(one: dict[str, str] | None, other: dict[str, str] | None) -> bool:
    """Tell whether two contents of a case are the same, None for no case.

    Earlier versions recorded no originals, or no grids: what only one of the two tells is not compared.
    """
    known = [content for content in (one, other) if content is not None]
    for is_optional in (_is_original, lambda key: key == "grids"):
        if not all(any(map(is_optional, content)) for content in known):
            known = [{key: value for key, value in content.items() if not is_optional(key)} for content in known]
    return len(known) == 2 and known[0] == known[1]


def _is_original(key: str) -> bool:
    return key.startswith("original_")


def _remove_earlier(folder: Path, earlier: RunRecord | None, record: RunRecord) -> None:
    """Remove files of an earlier run: of the cases and classes of its record, and of those that are done now."""
    records = [one for one in (earlier, record) if one]
    classes = {name for one in records if one.classes for name in one.classes.shown}
    remove_results(folder, {name for one in records for name in one.cases or ()}, classes)


def definition_of(folder: Path, overwrite: bool) -> str | None:
    """Return how the surface Dice of a run in `folder` is measured; None where an earlier version measured it."""
    record = None if overwrite else RunRecord.read(folder)
    return None if record and record.surface_dice is None and read_metrics(folder) else DEFINITION


def name_of(definition: str | None) -> str:
    """Name a definition of the surface Dice, for messages."""
    return f"surface Dice by {definition or 'border voxels, as earlier versions measured it'}"


def read_metrics(folder: Path) -> dict[str, list[dict]]:
    """Read the rows of `folder`/metrics.csv by case, numbers as float, empty fields as None; {} without the file.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / METRICS
    rows: dict[str, list[dict]] = {}
    try:
        for row in read_table(path):
            row = dict.fromkeys(_ADDED, "") | row
            numbers = {key: float(row[key]) if row[key] else None for key in COLUMNS[2:]}
            rows.setdefault(row["case"], []).append({"case": row["case"], "class": row["class"], **numbers})
    except (KeyError, ValueError, TypeError):
        raise InputError(path, "is damaged", "predict again with --overwrite") from None
    return rows


def summarise_measure(
    rows: dict[str, list[dict]], class_name: str, measure: str, higher_is_better=True
) -> Summary | None:
    """Summarize one measure of one class over the cases of `read_metrics`."""
    return summarise(values_of(rows, class_name, measure), higher_is_better)


def annotated_in_part(rows: dict[str, list[dict]]) -> set[str]:
    """Return the cases of `read_metrics` whose references are not annotated everywhere.

    Their Dice counts annotated voxels alone, so that it misses whatever is found elsewhere.
    """
    return {
        case
        for case, some in rows.items()
        if any(row["dice"] is not None and row["reference_volume_ml"] is None for row in some)
    }


def values_of(rows: dict[str, list[dict]], class_name: str, measure: str) -> dict[str, float | None]:
    """Return one measure of one class in the cases of `read_metrics`, by case."""
    return {
        case_name: row.get(measure)
        for case_name, case_rows in rows.items()
        for row in case_rows
        if row["class"] == class_name
    }
