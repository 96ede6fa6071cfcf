"""Report of the stored results of the study; parts may be missing.

RESULTS/claims.csv     differences between groups of runs, with intervals and tests
        targets.csv    every target, its value, and if it is met
        tables.md      all tables as Markdown
        means.png      mean Dice of all groups of runs
        <student>.png  paired differences of each group of students to its ensemble and to the same network without
                       soft labels
"""

import re
from functools import partial

import numpy as np

from base.atomic_file import write_text
from base.csv_files import rounded, write_table
from base.label_classes import MEAN
from studies.claims import CLAIM_COLUMNS, decide_claims
from studies.hippocampus.figures import DISTILLATIONS, Figures
from studies.hippocampus.tables import tables_of
from studies.hippocampus.targets import (
    MARGIN,
    TARGET_COLUMNS,
    claims_of,
    loss_claims_of,
    secondary_claims_of,
    targets_of,
)
from studies.pictures import plot_means
from studies.results import Results
from studies.trust import trust_rows
from utils.comparison.paired_tests import PRIMARY, mean_interval, paired
from utils.comparison.picture import plot_comparison


def report(results: Results) -> None:
    """Write and print all tables of the stored parts, and plot the pictures."""
    figures = Figures(results)
    claims = decide_claims(claims_of(figures), figures.values)
    targets = targets_of(figures, claims)
    write_table(results.folder / "claims.csv", CLAIM_COLUMNS, map(rounded, claims))
    write_table(results.folder / "targets.csv", TARGET_COLUMNS, targets)
    loss_claims = decide_claims(loss_claims_of(figures), partial(figures.values, split="val"))
    secondary = {title: decide_claims(some, figures.values) for title, some in secondary_claims_of(figures).items()}
    trust = trust_rows(results, figures.groups, patient_of=str)  # a case is a patient
    text = tables_of(figures, claims, secondary, loss_claims, targets, trust)
    write_text(results.folder / "tables.md", text)
    print(text)
    draw(figures, results)


def draw(figures: Figures, results: Results) -> None:
    """Plot the means of all groups, and paired differences of each student to its ensemble and the single network."""

    def dices(*names: str) -> np.ndarray:
        return paired(*(figures.values(name)[MEAN, PRIMARY] for name in names))

    if not figures.groups:
        return
    plot_means(results.folder / "means.png", {group: dices(group)[0] for group in figures.groups}, "single")
    for each in DISTILLATIONS:
        if each.is_in(figures.groups):
            names = [each.student, each.alone, each.ensemble]
            values = dices(*names)
            limits = {("mean", name): mean_interval(values[0] - other) for name, other in zip(names[1:], values[1:])}
            path = results.folder / f"{re.sub(r'[^A-Za-z0-9]+', '_', each.student)}.png"
            plot_comparison(path, names, {"mean": values}, limits, MARGIN)
