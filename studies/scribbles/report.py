"""Report of the stored results of the study.

RESULTS/claims.csv     differences between groups of runs, with intervals and tests
        tables.md      all tables as Markdown
"""

from base.atomic_file import write_text
from base.csv_files import rounded, write_table
from studies.acdc.claims import MARGIN, Figures, trained_once
from studies.acdc.report import CLAIM_HEADINGS, GROUP_HEADINGS, group_row
from studies.claims import CLAIM_COLUMNS, Claim
from studies.results import Results
from studies.scribbles.settings import LABEL, PARTS
from studies.tables import claim_row, markdown_table, sections

PRIMARY_CLAIM = Claim(f"student, {LABEL}", f"alone, {LABEL}", 0.01)
SECONDARY_CLAIMS = (
    Claim(f"ensemble, {LABEL}", f"alone, {LABEL}", 0.05),
    Claim(f"student, {LABEL}", f"ensemble, {LABEL}", 0.05, MARGIN),
    Claim(f"second student, {LABEL}", f"student, {LABEL}", 0.05),
)
_TRAININGS = {name: name for name in ("run", "iterations", "minutes", "parameters")}
_CHOICES = {name: name for name in ("question", "option", "mean_dice", "chosen")}


def report(results: Results) -> None:
    """Write and print all tables."""
    figures = Figures(results)
    primary, secondary = figures.claims([PRIMARY_CLAIM]), figures.claims(SECONDARY_CLAIMS)
    write_table(results.folder / "claims.csv", CLAIM_COLUMNS, map(rounded, [*primary, *secondary]))
    tables = {
        "Groups of runs": markdown_table(GROUP_HEADINGS, [group_row(figures, group) for group in figures.groups]),
        "Primary claim": markdown_table(CLAIM_HEADINGS, list(map(claim_row, primary))),
        "Secondary claims": markdown_table(CLAIM_HEADINGS, list(map(claim_row, secondary))),
        "Choices on validation patients": markdown_table(_CHOICES, figures.choices),
        "Trainings": markdown_table(_TRAININGS, [row for part in PARTS for row in trained_once(figures, part)]),
    }
    text = sections(tables)
    write_text(results.folder / "tables.md", text)
    print(text)
