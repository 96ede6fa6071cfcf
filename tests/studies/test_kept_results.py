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
FIGURE = re.compile(r"\b0\.\d{4}\b")  # a Dice, a difference, a limit, a p value
SEVERAL_RUNS = re.compile(r"three seeds|\d, 0\.")  # in rows of documents
QUOTING = [
    ("README.md", list(REPORTS), ""),
    ("docs/hippocampus.md", ["hippocampus"], ""),
    ("docs/acdc.md", ["acdc"], "## Results"),
    ("docs/scribbles.md", ["scribbles", "acdc"], "## Results"),
]


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


def lines_of(document: str, studies: list[str], section: str) -> tuple[list[str], list[set[str]]]:
    """Return the lines of a document from a section on, and the figures of each line of the studies' tables."""
    text = (ROOT / document).read_text(encoding="utf-8")
    tables = [(RESULTS / study / "tables.md").read_text(encoding="utf-8") for study in studies]
    return text[text.index(section) :].splitlines(), figures_of("\n".join(tables).splitlines())


def figures_of(lines: list[str]) -> list[set[str]]:
    return [set(FIGURE.findall(line)) for line in lines]


@pytest.mark.parametrize(("document", "studies", "section"), QUOTING)
def test_figures_in_the_documents_are_those_of_the_tables(document, studies, section):
    lines, rows = lines_of(document, studies, section)
    quoted = set().union(*figures_of(lines))
    assert quoted
    assert quoted <= set().union(*rows)


@pytest.mark.parametrize(("document", "studies", "section"), QUOTING)
def test_figures_beside_each_other_in_a_document_are_beside_each_other_in_a_table(document, studies, section):
    lines, rows = lines_of(document, studies, section)
    own = [line for line in lines if line.lstrip().startswith("|") and not SEVERAL_RUNS.search(line)]
    quoted = [figures for figures in figures_of(own) if len(figures) > 1]
    assert quoted
    assert [figures for figures in quoted if not any(figures <= row for row in rows)] == []
