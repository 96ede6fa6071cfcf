"""Share of the ensemble's gain over a single network that a student keeps, and the cost of each of the three."""

from collections.abc import Sequence

from base.csv_files import rounded, write_table
from base.run_files import KEPT
from utils.comparison.finished_runs import FinishedRun
from utils.comparison.paired_tests import PRIMARY, paired, paired_cases, share_kept

COLUMNS = (
    "role",
    "run",
    "cases",
    "patients",
    "mean_dice",
    "seconds",
    "parameters",
    "peak_memory_mb",
    "kept",
    "kept_low",
    "kept_high",
)


def report_gain_kept(student: FinishedRun, others: Sequence[FinishedRun]) -> None:
    """Write kept.csv beside the student's results and print it; remove that of an earlier comparison.

    The ensemble is the first of `others` with several networks, the single network the first with one network that is
    not a student. Nothing is reported if one of the two is missing or `student` is not a student.
    """
    path = student.folder / KEPT
    path.unlink(missing_ok=True)
    singles = [other for other in others if not other.is_ensemble and not other.is_student]
    ensembles = [other for other in others if other.is_ensemble]
    if not (student.is_student and singles and ensembles):
        return
    roles = {"single": singles[0], "ensemble": ensembles[0], "student": student}
    values = [run.values[run.overall, PRIMARY] for run in roles.values()]
    dices = paired(*values, patients=student.patients)
    rows = [
        {
            "role": role,
            "run": run.name,
            "cases": len(paired_cases(*values)),
            "patients": len(of_run),
            "mean_dice": float(of_run.mean()),
            "seconds": run.seconds,
            "parameters": run.parameters,
            "peak_memory_mb": run.peak_memory_mb,
        }
        for (role, run), of_run in zip(roles.items(), dices)
    ]
    share = dict(zip(("kept", "kept_low", "kept_high"), share_kept(*dices)))
    rows[-1] |= share
    write_table(path, COLUMNS, map(rounded, rows))
    _print(rows, **share)


def _print(rows: Sequence[dict], kept: float | None, kept_low: float | None, kept_high: float | None) -> None:
    print(f"\n{'mean Dice':>10} {'s / case':>9} {'parameters':>11} {'peak MB':>8}")
    for row in rows:
        memory = "-" if row["peak_memory_mb"] is None else f"{row['peak_memory_mb']:.0f}"
        print(
            f"{row['mean_dice']:10.4f} {row['seconds']:9.3f} {row['parameters']:11,} {memory:>8}"
            f"  {row['role']}: {row['run']}"
        )
    single, ensemble, _ = (row["mean_dice"] for row in rows)
    gain = f"{ensemble - single:+.4f} mean Dice over the single network"
    if kept is None:
        print(f"the ensemble gains nothing ({gain}): there is nothing to keep")
        return
    limits = ("no limit" if limit is None else f"{limit:.0%}" for limit in (kept_low, kept_high))
    print(f"the student keeps {kept:.0%} of the ensemble's gain ({gain}); 95% interval: {' to '.join(limits)}")
