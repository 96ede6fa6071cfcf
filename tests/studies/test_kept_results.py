"""Stored results of the studies: they reproduce the tables, and the documents quote the tables."""

import re
import shutil
from pathlib import Path

import pytest

from studies.acdc.report import report as report_acdc
from studies.hippocampus.report import report as report_hippocampus
from studies.results import Results
from studies.scribbles.report import report as report_scribbles

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"
REPORTS = {"hippocampus": report_hippocampus, "acdc": report_acdc, "scribbles": report_scribbles}
WRITTEN = ("claims.csv", "targets.csv", "tables.md")


@pytest.mark.parametrize("study", REPORTS)
def test_the_tables_follow_from_the_stored_runs_and_cases(study, tmp_path):
    results = Results(tmp_path / "results")
    shutil.copytree(RESULTS / study, results.folder)
    for name in WRITTEN:
        (results.folder / name).unlink()
    REPORTS[study](results)
    for name in WRITTEN:
        written = (results.folder / name).read_text(encoding="utf-8")
        assert written == (RESULTS / study / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("document", "studies", "section"),
    [
        ("README.md", REPORTS, ""),
        ("docs/hippocampus.md", ["hippocampus"], ""),
        ("docs/acdc.md", ["acdc"], "## Results"),
        ("docs/scribbles.md", ["scribbles", "acdc"], "## Results"),
    ],
)
def test_figures_in_the_documents_are_those_of_the_tables(document, studies, section):
    """Check every number with four decimals: Dice, differences, limits, p values."""
    figure = re.compile(r"\b0\.\d{4}\b")
    text = (ROOT / document).read_text(encoding="utf-8")
    quoted = set(figure.findall(text[text.index(section) :]))
    assert quoted
    tables = [(RESULTS / study / "tables.md").read_text(encoding="utf-8") for study in studies]
    assert quoted <= set(figure.findall("".join(tables)))
