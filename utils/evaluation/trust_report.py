"""Trust in the predictions of a run without a reference, and how good it is where there are references.

SAVE/<run>/<split>/trust.csv            predicted Dice of each case and region, its lower bound, and raw estimates
                   quality.csv          how well these tell good from bad predictions
                   annotate_next.csv    scans without a reference in the order in which one would help most
"""

from collections.abc import Container, Mapping
from pathlib import Path

import numpy as np

from base.csv_files import read_table, rounded, write_table
from base.dice_calibration import DiceCalibration, DiceLine
from base.errors import InputError
from base.label_classes import MEAN
from base.run_files import ANNOTATE_NEXT, QUALITY, TRUST
from base.run_record import RunRecord
from utils.evaluation.annotation_order import annotation_order
from utils.evaluation.dice_prediction import fit_line, fit_without_each
from utils.evaluation.run_results import annotated_in_part, read_metrics, same_content, values_of
from utils.evaluation.trust_quality import Coverage, RiskCoverage, spearman
from utils.evaluation.trust_table import COLUMNS, TrustTable

_SCORES = ("predicted_dice", "agreement", "expected_dice")
_QUALITY_COLUMNS = ("class", "score", "cases", "patients", "aurc", "aurc_random", "aurc_best", "spearman")
_QUALITY_COLUMNS += ("bound_patients", "coverage", "coverage_low", "coverage_high", "coverage_patients")
_ORDER_COLUMNS = ("place", "case", "patient", "round", "doubt", "predicted_dice")
_LEAST_ML = 1e-3  # added to volumes before their logarithm


class TrustReport:
    """Report on trust at the end of a run in `folder`.

    References that are annotated in part tell nothing here: the Dice of annotated voxels misses all errors elsewhere.

    Args:
        record: of the run.
        path: of the calibration, beside the weights or in the ensemble's run.
        is_validation: whether the split is that on which the Dice is calibrated.
        unseen: names of cases that no network of the run was trained on, nor on others of their patients.
    """

    def __init__(self, folder: Path, record: RunRecord, path: Path, is_validation: bool, unseen: Container[str]):
        self._folder = folder
        self._record = record
        self._path = path
        self._is_validation = is_validation
        self._unseen = unseen
        self._patients = record.patients or {}
        self._options = record.clip_to, record.settings.views or 1, record.settings.keep_largest

    def write(self) -> None:
        """Calibrate on a validation split, predict the Dice of all cases, and write the tables."""
        table = TrustTable.read(self._folder)
        if not table.rows:
            for name in (QUALITY, ANNOTATE_NEXT):  # of an earlier call
                (self._folder / name).unlink(missing_ok=True)
            return
        metrics = read_metrics(self._folder)
        without_reference = {case for case, rows in metrics.items() if all(row["dice"] is None for row in rows)}
        in_part = annotated_in_part(metrics)
        complete = {case: rows for case, rows in metrics.items() if case not in in_part}
        dices = {region: known(values_of(complete, region, "dice")) for region in table.regions if region != MEAN}
        classes = self._record.classes.shown[1:]
        if MEAN in table.regions:
            dices[MEAN] = {
                case: float(np.mean([dices[name][case] for name in classes]))
                for case in complete
                if all(case in dices[name] for name in classes)
            }
        ensemble = self._record.ensemble
        is_clipped = ensemble is not None and ensemble.clip  # to references, which new scans lack
        own = self._calibrated(table, dices) if self._is_validation and not is_clipped else None
        calibration = own or (None if is_clipped else DiceCalibration.read(self._path))
        if calibration and not calibration.suits(self._record.weights):
            calibration = None
        contents = self._record.cases or {}
        if calibration and any(same_content(calibration.cases.get(case), contents.get(case)) for case in in_part):
            print("note: the predicted Dice was calibrated on references that are annotated in part; removed")
            self._path.unlink()  # of an earlier version
            calibration = None
        if calibration and (note := calibration.note_with(*self._options)):
            print(note)
            calibration = None
        table = self._predicted(table, calibration, dices, holds_out=own is not None)
        rows = ({"case": case, "class": region, **row} for (case, region), row in table.rows.items())
        write_table(self._folder / TRUST, COLUMNS, map(rounded, rows))
        self._write_quality(table, dices, ranks_predictions=own is None)
        self._write_order(table, metrics, without_reference)
        if is_clipped:
            print("no predicted Dice: it would not hold for new scans, which have no references to clip to")
        else:
            self._print(calibration, table.estimator)

    def _calibrated(self, table: TrustTable, dices: Mapping[str, Mapping[str, float]]) -> DiceCalibration | None:
        """Calibrate on the completely annotated cases that no network has seen, and store it; None without any."""
        lines, cases = {}, {}
        for region in table.regions:
            estimates = {
                case: value
                for case, value in table.column(region, table.estimator).items()
                if case in dices[region] and case in self._unseen
            }
            if estimates:
                lines[region] = fit_line(estimates, dices[region], self._patients)
                cases |= {case: self._record.cases[case] for case in estimates if case in self._record.cases}
        if not lines:
            return None
        clip_to, *rest = self._options
        calibration = DiceCalibration(table.estimator, lines, self._record.weights, clip_to, cases, *rest)
        try:
            if DiceCalibration.read(self._path) != calibration:
                calibration.write(self._path)
        except InputError as error:  # such as weights in a folder that may not be written to
            print(f"note: the predicted Dice is not kept for other splits: {error}")
        return calibration

    def _predicted(
        self,
        table: TrustTable,
        calibration: DiceCalibration | None,
        dices: Mapping[str, Mapping[str, float]],
        holds_out: bool,
    ) -> TrustTable:
        """Return the table with predictions; those of patients it was calibrated on come from the other patients."""
        rows = {key: {**row, **dict.fromkeys(COLUMNS[2:5])} for key, row in table.rows.items()}
        for region in table.regions if calibration else ():
            estimates = table.column(region, calibration.estimator)
            own: Mapping[str, DiceLine] = {}
            seen: Mapping[str, float] = {}
            if holds_out:
                patients = {self._patients.get(case, case) for case in calibration.cases}
                seen = {case: value for case, value in estimates.items() if self._patients.get(case, case) in patients}
                measured = {case: dices[region][case] for case in calibration.cases if case in dices[region]}
                own = fit_without_each(seen, measured, self._patients)
            for case, estimate in estimates.items():
                line = own.get(case) if case in seen else calibration.lines.get(region)
                if line:
                    low = line.bound(estimate)
                    rows[case, region] |= {
                        "predicted_dice": line.predict(estimate),
                        "predicted_dice_low": low,
                        "bound_patients": None if low is None else line.patients,
                    }
        return TrustTable(rows)

    def _write_quality(
        self, table: TrustTable, dices: Mapping[str, Mapping[str, float]], ranks_predictions: bool
    ) -> None:
        """Write quality.csv; remove that of an earlier call where no case has a reference.

        Predictions from the other patients are not ranked: those of good cases come from worse ones, and the reverse,
        so that even a constant estimate would rank cases in the wrong order.
        """
        rows = []
        for region in table.regions:
            for score in _SCORES:
                values = {case: v for case, v in table.column(region, score).items() if case in dices[region]}
                if not values:
                    continue
                pairs = list(values.values()), [dices[region][case] for case in values]
                row = {"class": region, "score": score, "cases": len(values)}
                row["patients"] = len({self._patients.get(case, case) for case in values})
                if score != _SCORES[0] or ranks_predictions:
                    curve = RiskCoverage.of(*pairs)
                    row |= {"aurc": curve.aurc, "aurc_random": curve.aurc_random, "aurc_best": curve.aurc_best}
                    row["spearman"] = spearman(*pairs)
                rows.append(row | (self._coverage(table, region, dices[region]) if score == _SCORES[0] else {}))
        if rows:
            write_table(self._folder / QUALITY, _QUALITY_COLUMNS, map(rounded, rows))
        else:
            (self._folder / QUALITY).unlink(missing_ok=True)

    def _coverage(self, table: TrustTable, region: str, dices: Mapping[str, float]) -> dict[str, float | None]:
        """Return the columns of the coverage; empty without a bound."""
        bounds = {case: v for case, v in table.column(region, "predicted_dice_low").items() if case in dices}
        coverage = Coverage.of(bounds, dices, self._patients)
        if coverage is None:
            return {}
        numbers = table.column(region, "bound_patients")
        return {
            "bound_patients": int(min(numbers[case] for case in bounds)),
            "coverage": coverage.share,
            "coverage_low": coverage.low,
            "coverage_high": coverage.high,
            "coverage_patients": coverage.patients,
        }

    def _write_order(
        self, table: TrustTable, metrics: Mapping[str, list[dict]], without_reference: Container[str]
    ) -> None:
        """Write annotate_next.csv; remove that of an earlier call where every case has a reference."""
        region = MEAN if MEAN in table.regions else table.regions[0]
        estimates = table.column(region, table.estimator)
        doubts = {case: 1 - value for case, value in estimates.items() if case in without_reference}
        if not doubts:
            (self._folder / ANNOTATE_NEXT).unlink(missing_ok=True)
            return
        features = {case: [np.log(row["volume_ml"] + _LEAST_ML) for row in metrics[case]] for case in doubts}
        order = annotation_order(doubts, features, self._patients)
        predicted = table.column(region, "predicted_dice")
        rows = [
            {
                "place": place,
                "case": case,
                "patient": self._patients.get(case, case),
                "round": number,
                "doubt": doubts[case],
                "predicted_dice": predicted.get(case),
            }
            for place, (case, number) in enumerate(order.items(), start=1)
        ]
        write_table(self._folder / ANNOTATE_NEXT, _ORDER_COLUMNS, map(rounded, rows))

    def _print(self, calibration: DiceCalibration | None, estimator: str) -> None:
        if calibration is None:
            print(
                "no predicted Dice: it is calibrated by predicting validation cases with references that are annotated "
                "everywhere (-e val)"
            )
            return
        line = next(iter(calibration.lines.values()))
        bound = "no lower bound: it takes 9" if line.margin is None else "90% lower bound from as many"
        print(f"predicted Dice in {TRUST}, calibrated on {line.patients} validation patients ({bound})")
        for row in read_table(self._folder / QUALITY):
            if row["score"] == estimator:
                areas = [f"{float(row[key]):.4f}" for key in ("aurc", "aurc_random", "aurc_best")]
                print(
                    f"{row['class']}: {estimator.replace('_', ' ')}: AURC {areas[0]} (random order {areas[1]}, best"
                    f" {areas[2]}), Spearman {row['spearman'] or '-'}"
                )


def known(values: Mapping[str, float | None]) -> dict[str, float]:
    """Return the values that are not None."""
    return {case: value for case, value in values.items() if value is not None}
