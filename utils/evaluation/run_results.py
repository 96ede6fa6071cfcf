"""The results of a run on one split: a row of measures a case and region, a picture a case, a summary.

SAVE/<run>/<split>/predictions.json     what predicted and how it is measured, so that runs are never mixed
                   metrics.csv
                   <case>_prediction.nii.gz, <case>_overlay.png
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from base.csv_files import read_table, rounded
from base.errors import InputError
from base.json_files import read_json, write_json
from base.label_classes import check_classes
from base.regions import Region
from base.run_files import METRICS, RECORD, overlay_path, prediction_path, refuse_other_folder, remove_results
from utils.evaluation.case_measures import MEASURES, VOLUMES, Probabilities, Segmentation, measure_case
from utils.evaluation.case_table import CaseTable
from utils.evaluation.overlay import draw_overlay
from utils.evaluation.summary import Summary, summarise
from utils.evaluation.surface_dice import DEFINITION
from utils.runtime.peak_memory import peak_memory_mb
from utils.runtime.processes import ALONE, Processes

_RECORD_SHAPE = {  # some were not recorded by earlier versions
    "weights?": {str: str},
    "classes?": check_classes,
    "networks?": {str: {"parameters": int, "is_student": bool}},
    "regions?": [str],
    "tolerance_mm?": float,
    "surface_dice?": str,
    "cases?": {str: {str: str}},
    "clips?": {str: str},
    "patients?": {str: str},
}
_ADDED = ("peak_memory_mb", "intensity_warning")  # which earlier versions did not write
COLUMNS = ("case", "class", *MEASURES, *VOLUMES, "seconds", *_ADDED)


class Evaluation:
    """Collects the results of a run in `folder`; results that are there already are kept where they still hold.

    Args:
        record: what predicts (plain values); results of another record are never mixed with these.
        networks: what else a comparison tells of each network that predicts, by name (plain values).
        fingerprints: of the content of each case of the split, by name, originals included; a case that changed since
            is done again.
        regions: what is measured: the foreground classes, then unions of them.
        tolerance_mm: of the surface Dice.
        processes: among which the cases are shared out; the first must begin before the others do.
        clips: checksum of what each case is clipped to, by name, if it is; where it changed, a case is done again.
        patients: of the cases, by name: the units of a comparison.

    Raises:
        InputError: the folder holds results of another record, measured otherwise, or of cases that are not in the
            split, and `overwrite` is not given.
    """

    def __init__(
        self,
        folder: Path,
        record: dict,
        networks: dict[str, dict],
        fingerprints: dict[str, dict],
        regions: Sequence[Region],
        tolerance_mm: float,
        overwrite: bool,
        processes: Processes = ALONE,
        clips: Mapping[str, str] = {},
        patients: Mapping[str, str] = {},
    ):
        self.folder = folder
        self._regions = regions
        self._tolerance_mm = tolerance_mm
        record = {**record, "regions": [region.name for region in regions], "tolerance_mm": tolerance_mm}
        if processes.is_first:
            refuse_other_folder(folder)
        earlier = read_record(folder)
        self._definition = definition_of(folder, overwrite)
        if self._definition:
            record["surface_dice"] = self._definition
        before = {} if overwrite else dict(earlier)
        if before.get("surface_dice") != self._definition:  # no row is left: what is in parts does not hold
            before = {name: value for name, value in before.items() if name not in ("cases", "clips")}
        known, known_clips = before.pop("cases", {}), before.pop("clips", {})
        for key in ("networks", "patients"):
            before.pop(key, None)
        if before:
            self._check_record(before, record)
            rows = read_metrics(folder)  # may be damaged
            self._check_cases(known or rows, fingerprints)
        kept = [
            name
            for name in fingerprints
            if before and same_content(known.get(name), fingerprints[name]) and known_clips.get(name) == clips.get(name)
        ]
        if not self._definition:
            rows = read_metrics(folder)
            if not all(name in kept and name in rows and self.prediction_path(name).is_file() for name in fingerprints):
                raise self._measured_otherwise()
        # The table first: a record never vouches for rows of an earlier one.
        if processes.is_first and not before:
            _remove_earlier(folder, earlier, record, fingerprints)
        self._table = CaseTable(folder / METRICS, COLUMNS, kept, processes, _ADDED)
        if processes.is_first:
            cases = {"cases": fingerprints, "patients": patients, **({"clips": clips} if clips else {})}
            write_json(folder / RECORD, {**record, "networks": networks, **cases})

    def _measured_otherwise(self) -> InputError:
        """Rows of two definitions of the surface Dice are not mixed; those of an earlier version stay what they are."""
        problem = f"holds {name_of(self._definition)}, and cases are to be measured by {DEFINITION}"
        return InputError(self.folder, problem, "choose another run name with -r, or --overwrite")

    def _check_record(self, before: dict, record: dict) -> None:
        before = {"surface_dice": record.get("surface_dice"), **before}  # earlier versions recorded none
        for key in {**record, **before}:
            if record.get(key) != before.get(key):
                raise InputError(
                    self.folder,
                    f"holds predictions with {key} {before.get(key)}, not {record.get(key)}",
                    "choose another run name with -r, or --overwrite",
                )

    def _check_cases(self, known: Iterable[str], fingerprints: Container[str]) -> None:
        """Raise InputError where there are predictions of `known` cases that the split does not hold."""
        others = [name for name in known if name not in fingerprints and self.prediction_path(name).is_file()]
        if others:
            some = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
            raise InputError(
                self.folder,
                f"holds {len(others)} predictions of cases that are not in the split ({some})",
                "choose another run name with -r for other data; to give these up, remove them or --overwrite",
            )

    def prediction_path(self, case_name: str) -> Path:
        return prediction_path(self.folder, case_name)

    def is_done(self, case_name: str) -> bool:
        """Whether the case is predicted and its row written."""
        return case_name in self._table and self.prediction_path(case_name).is_file()

    def add(
        self,
        case_name: str,
        segmentation: Segmentation,
        probabilities: Probabilities,
        seconds: float,
        intensity_warning: bool | None = None,
    ) -> None:
        """Draw and measure one case, which took `seconds` to predict; without a reference it is not scored.

        Args:
            intensity_warning: whether its intensities miss those of the training scans; None where nobody knows.

        Raises:
            InputError: the other cases were measured by an earlier version, otherwise.
        """
        if not self._definition:
            raise self._measured_otherwise()
        cost = {"seconds": seconds, "peak_memory_mb": peak_memory_mb()}
        cost["intensity_warning"] = None if intensity_warning is None else int(intensity_warning)
        draw_overlay(
            overlay_path(self.folder, case_name),
            case_name,
            segmentation.image,
            segmentation.prediction,
            segmentation.reference,
            segmentation.spacing_mm,
            [(region.name, region.labels[0]) for region in self._regions if len(region.labels) == 1],
        )
        rows = measure_case(segmentation, probabilities, self._regions, self._tolerance_mm)
        self._table.add(case_name, [rounded(row | cost) for row in rows])

    def gather(self) -> None:
        """Put the measures of all processes into one table: in the first, when all have theirs."""
        self._table.gather()

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
        seconds = [some[0]["seconds"] for some in rows.values()]
        print(f"{np.mean(seconds):.2f} s per case")


def same_content(one: dict[str, str] | None, other: dict[str, str] | None) -> bool:
    """Tell whether two contents of a case are the same, None for no case; earlier versions recorded no originals."""
    known = [content for content in (one, other) if content is not None]
    if not all(any(map(_is_original, content)) for content in known):
        known = [{key: value for key, value in content.items() if not _is_original(key)} for content in known]
    return len(known) == 2 and known[0] == known[1]


def _is_original(key: str) -> bool:
    return key.startswith("original_")


def _remove_earlier(folder: Path, earlier: dict, record: dict, case_names: Iterable[str]) -> None:
    """Remove what an earlier run left of the cases and classes of its record, and of those that are done now."""
    classes = {name for some in (earlier, record) for name in some.get("classes", {}).get("names", ())}
    remove_results(folder, {*earlier.get("cases", ()), *case_names}, classes)


def definition_of(folder: Path, overwrite: bool) -> str | None:
    """Return how the surface Dice of a run in `folder` is measured; None where an earlier version measured it."""
    record = {} if overwrite else read_record(folder)
    return None if record and "surface_dice" not in record and read_metrics(folder) else DEFINITION


def name_of(definition: str | None) -> str:
    """Name a definition of the surface Dice, for messages."""
    return f"surface Dice by {definition or 'border voxels, as earlier versions measured it'}"


def read_record(folder: Path) -> dict:
    """What predicted the results in `folder`; {} where nothing says so, or what does is damaged."""
    try:
        return read_json(folder / RECORD, _RECORD_SHAPE, "")
    except (FileNotFoundError, InputError):
        return {}


def read_metrics(folder: Path) -> dict[str, list[dict]]:
    """Rows of `folder`/metrics.csv by case, numbers as float, what does not exist as None; {} where there is none.

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
        raise InputError(path, "is damaged", "remove it, and predict again") from None
    return rows


def summarise_measure(
    rows: dict[str, list[dict]], class_name: str, measure: str, higher_is_better=True
) -> Summary | None:
    """Summary of one measure of one class over the cases of `read_metrics`."""
    return summarise(values_of(rows, class_name, measure), higher_is_better)


def values_of(rows: dict[str, list[dict]], class_name: str, measure: str) -> dict[str, float | None]:
    """One measure of one class in the cases of `read_metrics`, by case."""
    return {
        case_name: row.get(measure)
        for case_name, case_rows in rows.items()
        for row in case_rows
        if row["class"] == class_name
    }
