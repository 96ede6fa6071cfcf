"""Report of the stored results of the study.

RESULTS/claims.csv     differences between groups of runs, with intervals and tests
        targets.csv    every target, its value, and if it is met
        tables.md      all tables as Markdown
        means.png      mean Dice of all groups of runs
        student.png    paired differences of the student to ensemble and network alone, by patient
"""

from collections.abc import Sequence

from base.atomic_file import write_text
from base.csv_files import rounded, write_table
from studies.acdc.claims import MARGIN, TARGET_COLUMNS, Figures, trained_once
from studies.acdc.report import GROUP_HEADINGS, draw, group_row
from studies.claims import CLAIM_COLUMNS, Claim
from studies.results import Results
from studies.scribbles.settings import LABEL, PARTS
from studies.tables import CLAIM_HEADINGS, claim_row, markdown_table, sections

PRIMARY_CLAIM = Claim(f"student, {LABEL}", f"alone, {LABEL}", 0.01)
SECONDARY_CLAIMS = (
    Claim(f"ensemble, {LABEL}", f"alone, {LABEL}", 0.05),
    Claim(f"student, {LABEL}", f"ensemble, {LABEL}", 0.05, MARGIN),
    Claim(f"second student, {LABEL}", f"student, {LABEL}", 0.05),
)
_LEAST_DICE = 0.880
_TRAININGS = {name: name for name in ("run", "iterations", "minutes", "parameters")}
_CHOICES = {name: name for name in ("question", "option", "mean_dice", "chosen")}


def report(results: Results) -> None:
    """Write and print all tables, and plot the pictures."""
    figures = Figures(results)
    primary, secondary = figures.claims([PRIMARY_CLAIM]), figures.claims(SECONDARY_CLAIMS)
    write_table(results.folder / "claims.csv", CLAIM_COLUMNS, map(rounded, [*primary, *secondary]))
    targets = targets_of(figures, primary)
    write_table(results.folder / "targets.csv", TARGET_COLUMNS, targets)
    tables = {
        "Targets": markdown_table({name: name for name in TARGET_COLUMNS}, targets),
        "Groups of runs": markdown_table(GROUP_HEADINGS, [group_row(figures, group) for group in figures.groups]),
        "Primary claim": markdown_table(CLAIM_HEADINGS, list(map(claim_row, primary))),
        "Secondary claims": markdown_table(CLAIM_HEADINGS, list(map(claim_row, secondary))),
        "Choices on validation patients": markdown_table(_CHOICES, figures.choices),
        "Trainings": markdown_table(_TRAININGS, [row for part in PARTS for row in trained_once(figures, part)]),
    }
    text = sections(tables)
    write_text(results.folder / "tables.md", text)
    print(text)
    draw(figures, results.folder, LABEL)


def targets_of(figures: Figures, primary: Sequence[dict]) -> list[dict]:
    """Compare targets with results; return rows of `TARGET_COLUMNS`."""
    rows = []
    if PRIMARY_CLAIM.group in figures.groups:
        dice = figures.mean(PRIMARY_CLAIM.group)
        row = ("student's mean Dice, published split", f"≥ {_LEAST_DICE:.3f}", f"{dice:.4f}", dice >= _LEAST_DICE)
        rows.append(row)
    for claim in primary:
        figure = f"{claim['difference']:+.4f}, p {claim['p']:.4g}"
        rows.append((claim["claim"], f"p < {claim['bar']:g}", figure, claim["p"] < claim["bar"]))
    return [dict(zip(TARGET_COLUMNS, (*row, "yes" if met else "NO"))) for *row, met in rows]
