"""Report of the stored results of the study; parts may be missing.

RESULTS/claims.csv     differences between groups of runs, with intervals and tests
        targets.csv    every target, its value, and if it is met
        tables.md      all tables as Markdown
        means.png      mean Dice of all groups of runs
        student.png    paired differences of the students to the ensembles and the networks alone, by patient
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from base.atomic_file import write_text
from base.csv_files import rounded, write_table
from base.label_classes import MEAN
from studies.acdc.claims import (
    MARGIN,
    PRIMARY_CLAIMS,
    SECONDARY_CLAIMS,
    TARGET_COLUMNS,
    Figures,
    patient_of,
    targets_of,
    trained_once,
)
from studies.acdc.settings import AGAIN, FOREGROUND, PARTS
from studies.claims import CLAIM_COLUMNS
from studies.pictures import plot_means
from studies.results import Results
from studies.tables import CLAIM_HEADINGS, claim_row, markdown_table, sections
from studies.trust import TRUST_HEADINGS, trust_rows
from utils.comparison.paired_tests import PRIMARY, mean_interval
from utils.comparison.picture import plot_comparison

GROUP_HEADINGS = {
    "group": "",
    "patients": "patients",
    "networks": "networks",
    "parameters": "parameters",
    "mean_dice": "Dice",
    "interval": "95% interval",
    **{f"dice_{label}": name for label, name in zip(FOREGROUND, ("right ventricle", "myocardium", "left ventricle"))},
    "hausdorff95_mm": "95% Hausdorff, mm",
    "ece": "ECE",
    "seconds": "s / scan",
}
_ROLES = ("alone", "member", "ensemble", "student")


def report(results: Results) -> None:
    """Write and print all tables of the stored parts, and plot the pictures."""
    figures = Figures(results)
    primary, secondary = figures.claims(PRIMARY_CLAIMS), figures.claims(SECONDARY_CLAIMS)
    targets = targets_of(figures, primary)
    write_table(results.folder / "claims.csv", CLAIM_COLUMNS, map(rounded, [*primary, *secondary]))
    write_table(results.folder / "targets.csv", TARGET_COLUMNS, targets)
    tables = {
        "Targets": markdown_table({name: name for name in TARGET_COLUMNS}, targets),
        "Groups of runs": markdown_table(GROUP_HEADINGS, [group_row(figures, group) for group in figures.groups]),
        "Primary claim": markdown_table(CLAIM_HEADINGS, map(claim_row, primary)),
        "Secondary claims": markdown_table(CLAIM_HEADINGS, map(claim_row, secondary)),
        "Trust without a reference": markdown_table(
            TRUST_HEADINGS, trust_rows(results, _as_calibrated(figures.groups), patient_of)
        ),
        "By part": markdown_table(*_part_table(figures)),
        "Choices on validation patients": markdown_table(
            {name: name for name in ("part", "option", "mean_dice", "chosen")}, figures.choices
        ),
        "Trainings": markdown_table(
            {name: name for name in ("part", "run", "iterations", "minutes", "parameters")},
            [
                row | {"minutes": f"{float(row['minutes']):.1f}"}
                for part in PARTS
                for row in trained_once(figures, part)
            ],
        ),
    }
    text = sections(tables)
    write_text(results.folder / "tables.md", text)
    print(text)
    draw(figures, results.folder, "7 labelled")


def _as_calibrated(groups: Sequence[str]) -> list[str]:
    """Return the groups that predict test patients with the options of the validation patients: no variants."""
    return [group for group in groups if group.count(",") == 1]


def draw(figures: Figures, folder: Path, label: str) -> None:
    """Plot means of all groups of runs, and differences of the students labelled `label`, if there are any."""
    if figures.groups:
        dices = {group: figures.dices(group)[0] for group in figures.groups}
        plot_means(folder / "means.png", dices, f"alone, {label}")
    names = [f"{role}, {label}" for role in ("student", "alone", "ensemble")]
    if set(names) <= set(figures.groups):
        values = figures.dices(*names)
        limits = {("mean", name): mean_interval(values[0] - other) for name, other in zip(names[1:], values[1:])}
        plot_comparison(folder / "student.png", names, {"mean": values}, limits, MARGIN)


def group_row(figures: Figures, group: str) -> dict:
    (dices,) = figures.dices(group)
    low, high = mean_interval(dices)
    by_class = {f"dice_{label}": f"{figures.mean(group, region=label):.4f}" for label in FOREGROUND}
    return {
        "group": group,
        "patients": len(dices),
        "networks": int(figures.of_runs(group, "networks")[0]),
        "parameters": " or ".join(f"{int(n):,}" for n in sorted({*figures.of_runs(group, "parameters")})),
        "mean_dice": f"{dices.mean():.4f}",
        "interval": "" if None in (low, high) else f"{low:.4f} to {high:.4f}",
        **by_class,
        "hausdorff95_mm": f"{figures.mean(group, 'hausdorff95_mm'):.2f}",
        "ece": f"{figures.mean(group, 'ece'):.4f}",
        "seconds": f"{fmean(figures.of_runs(group, 'seconds')):.3f}",
    }


def _part_table(figures: Figures) -> tuple[dict, list[dict]]:
    """Return columns and rows of the mean Dice of each role in each part."""
    rows = []
    for part in dict.fromkeys(row["part"] for row in figures.runs if row["part"] != AGAIN):
        labelled = f"{PARTS[part]} labelled"
        means = {role: f"{figures.mean(f'{role}, {labelled}', part=part):.4f}" for role in _ROLES}
        patients = len(figures.values(f"student, {labelled}", part)[MEAN, PRIMARY])
        rows.append({"part": part, "labelled": PARTS[part], "patients": patients, **means})
    return {name: name for name in ("part", "labelled", "patients", *_ROLES)}, rows
