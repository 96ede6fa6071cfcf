"""Stored results of the study: they reproduce the tables, and the documents quote the tables."""

import re
import shutil
from pathlib import Path

import pytest

from studies.hippocampus.report import report
from studies.results import Results

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results" / "hippocampus"
WRITTEN = ("claims.csv", "targets.csv", "tables.md")


def test_the_tables_follow_from_the_stored_runs_and_cases(tmp_path):
    results = Results(tmp_path / "results")
    shutil.copytree(RESULTS, results.folder)
    for name in WRITTEN:
        (results.folder / name).unlink()
    report(results)
    for name in WRITTEN:
        assert (results.folder / name).read_text(encoding="utf-8") == (RESULTS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("document", ["README.md", "docs/hippocampus.md"])
def test_figures_in_the_documents_are_those_of_the_tables(document):
    """Check every number with four decimals: Dice, differences, limits, p values."""
    figure = re.compile(r"\b0\.\d{4}\b")
    quoted = set(figure.findall((ROOT / document).read_text(encoding="utf-8")))
    assert quoted
    assert quoted <= set(figure.findall((RESULTS / "tables.md").read_text(encoding="utf-8")))
