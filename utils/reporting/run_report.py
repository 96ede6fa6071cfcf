"""Report of a run: a page to look at, and the same figures for programs.

SAVE/<run>/<split>/report.html     one file that needs no other; pictures beyond 6 MB are linked
                   summary.json
"""

from dataclasses import asdict
from pathlib import Path

from base.atomic_file import write_text
from base.json_files import write_json
from base.run_files import REPORT, SUMMARY
from utils.reporting.provenance import Provenance
from utils.reporting.run_figures import RunFigures
from utils.reporting.run_page import run_page
from utils.reporting.run_warnings import warnings_of


def remove_report(folder: Path) -> None:
    """Remove the report of a run whose results are about to change."""
    for name in (REPORT, SUMMARY):
        (folder / name).unlink(missing_ok=True)


def write_report(folder: Path) -> Path:
    """Write the report of the finished run in `folder`, and return the path of its page."""
    run, made = RunFigures.read(folder), Provenance.now()
    write_json(folder / SUMMARY, summary_of(run, made))
    write_text(folder / REPORT, run_page(run, made))
    return folder / REPORT


def summary_of(run: RunFigures, made: Provenance) -> dict:
    """Return the figures of the page as plain values."""
    return {
        "run": run.name,
        "split": run.split,
        "classes": run.classes,
        "cases": len(run.rows),
        "patients": len(set(run.patients.values())),
        "cases_with_reference": len(run.scored),
        "measures": [asdict(one) for one in run.headlines],
        "seconds": run.seconds,
        "parameters": run.parameters,
        "peak_memory_mb": run.peak_memory_mb,
        "worst_first": run.worst_first(),
        "comparison": [_numbers(row) for row in run.comparison],
        "kept": [_numbers(row) for row in run.kept],
        "quality": [_numbers(row) for row in run.quality],
        "warnings": warnings_of(run),
        "weights": dict(run.record.weights or {}),
        "made": asdict(made),
    }


_TEXTS = ("class", "measure", "against", "role", "run", "score")


def _numbers(row: dict[str, str]) -> dict[str, str | float | None]:
    """Return a row of a table with its numbers as numbers, and None for empty fields."""
    return {key: value if key in _TEXTS else float(value) if value else None for key, value in row.items()}
