"""Comparison of a run with other runs on the same split.

SAVE/<run>/<split>/comparison.csv    for each other run, measure and class: means, difference, tests
                   comparison.png    Dice of all runs, and the difference of each patient
                   kept.csv          for a student: the share of its ensemble's gain that it keeps, and its cost
"""

from collections.abc import Sequence
from pathlib import Path

from base.csv_files import read_table, rounded, write_table
from base.errors import InputError
from base.run_files import COMPARISON, COMPARISON_PICTURE, KEPT
from base.run_record import RunRecord
from utils.comparison.finished_runs import FinishedRun, check_alike
from utils.comparison.gain_kept import report_gain_kept
from utils.comparison.paired_tests import COLUMNS, PRIMARY, compare, paired
from utils.comparison.picture import plot_comparison
from utils.evaluation.case_measures import MEASURES


def remove_comparison(folder: Path) -> None:
    """Remove the comparison in the folder of a run whose results are about to change."""
    for name in (COMPARISON, COMPARISON_PICTURE, KEPT):
        (folder / name).unlink(missing_ok=True)


class ComparisonReport:
    """Comparison of a run, which may not have started, with finished runs, `others`.

    Args:
        record: record of the run.
        margin: non-inferiority margin, in Dice.

    Raises:
        InputError: another run is this one, or its results are missing, not finished or not comparable.
    """

    def __init__(
        self, save_folder: Path, name: str, split: str, others: Sequence[str], record: RunRecord, margin: float
    ):
        if name in others:
            raise InputError("--compare", f"{name} is the run itself", "name another run, there or with -r")
        self._place = save_folder, name, split
        self._margin = margin
        self._others = [FinishedRun.read(save_folder, other, split) for other in others]
        for other in self._others:
            check_alike(name, record, other)

    @classmethod
    def again(cls, save_folder: Path, name: str, split: str, record: RunRecord) -> "ComparisonReport | None":
        """Return the comparison with the runs of an earlier call, which may have been predicted anew since.

        None if there was none; also, after it is removed with a note, if it can no longer be made.
        """
        folder = save_folder / name / split
        try:
            rows = read_table(folder / COMPARISON)
            if not rows:
                return None
            margin = next(float(row["margin"]) for row in rows if row["margin"])
            return cls(save_folder, name, split, list(dict.fromkeys(row["against"] for row in rows)), record, margin)
        except (InputError, KeyError, ValueError, StopIteration) as error:  # it may be damaged
            remove_comparison(folder)
            print(f"note: the comparison of an earlier call is removed: {error}")
            return None

    def report(self) -> None:
        """Write the tables and the picture, and print the tables, when the run is finished.

        Raises:
            InputError: no case has a reference.
        """
        run = FinishedRun.read(*self._place)
        rows = compare(run.values, {other.name: other.values for other in self._others}, self._margin, run.patients)
        if not rows:
            raise InputError(run.folder, "no case has a reference: there is nothing to compare", "leave out --compare")
        write_table(run.folder / COMPARISON, COLUMNS, map(rounded, rows))
        self._draw(run, rows)
        for other in self._others:
            _print_rows([row for row in rows if row["against"] == other.name], run.name, self._margin)
        report_gain_kept(run, self._others)

    def _draw(self, run: FinishedRun, rows: Sequence[dict]) -> None:
        """Draw the Dice of the classes that all runs have."""
        runs = [run, *self._others]
        shared = [region for region, measure in run.values if measure == PRIMARY]
        shared = [region for region in shared if all((region, PRIMARY) in some.values for some in runs)]
        dices = {
            region: paired(*(some.values[region, PRIMARY] for some in runs), patients=run.patients) for region in shared
        }
        limits = {
            (row["class"], row["against"]): (row["low"], row["high"]) for row in rows if row["measure"] == PRIMARY
        }
        plot_comparison(run.folder / COMPARISON_PICTURE, [some.name for some in runs], dices, limits, self._margin)


def _print_rows(rows: Sequence[dict], name: str, margin: float) -> None:
    """Print the rows against one other run."""
    print(f"\n{name} against {rows[0]['against']}, patient by patient (↑: higher is better, ↓: lower)")
    print(
        f"{'measure':>16} {'class':>8} {'cases':>6} {'patients':>8} {'mean':>9} {'against':>9} {'difference':>10}"
        f" {'95% interval':>22} {'p':>7} {'p (Holm)':>8}  p (not inferior by {margin:g})"
    )
    for row in rows:
        measure = f"{row['measure']} {'↑' if MEASURES[row['measure']] else '↓'}"
        interval = f"[{_limit(row['low'])}, {_limit(row['high'])}]"
        print(
            f"{measure:>16} {row['class']:>8} {row['cases']:6} {row['patients']:8}"
            f" {row['mean']:9.4f} {row['against_mean']:9.4f}"
            f" {row['difference']:+10.4f} {interval:>22} {_p(row['p_wilcoxon']):>7} {_p(row['p_holm']):>8}"
            + (f"  {_p(row['p_non_inferior'])}" if "p_non_inferior" in row else "")
        )


def _limit(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4f}"


def _p(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}" if value >= 0.0001 else "<0.0001"
