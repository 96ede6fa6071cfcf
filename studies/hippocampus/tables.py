"""Markdown tables of the study."""

from collections.abc import Mapping
from statistics import mean

import numpy as np

from base.label_classes import MEAN
from studies.hippocampus.figures import DISTILLATIONS, Figures
from studies.hippocampus.targets import TARGET_COLUMNS
from studies.tables import CLAIM_HEADINGS, claim_row, markdown_table, sections
from studies.trust import TRUST_HEADINGS
from utils.comparison.paired_tests import PRIMARY, mean_interval

GROUP_HEADINGS = {
    "group": "",
    "runs": "runs",
    "networks": "networks",
    "parameters": "parameters",
    "training_cases": "train cases",
    "minutes": "minutes each",
    "val": "Dice, val",
    "mean_dice": "Dice, test",
    "interval": "95% interval",
    "dice_1": "label 1",
    "dice_2": "label 2",
    "asd_mm": "surface distance, mm",
    "ece": "ECE",
    "seconds": "s / case",
    "peak_memory_mb": "peak MB",
}
KEPT_HEADINGS = {
    "student": "student",
    "alone": "the same network alone",
    "dice": "its Dice",
    "student_dice": "the student's",
    "ensemble_dice": "the ensemble's",
    "share": "share of the gain kept",
    "faster": "times faster",
    "smaller": "times fewer parameters",
}
CHOICE_HEADINGS = {
    "part": "part",
    "question": "question",
    "option": "option",
    "mean_dice": "Dice, val",
    "chosen": "chosen",
}
RUN_HEADINGS = {
    "run": "run",
    "group": "group",
    "parameters": "parameters",
    "minutes": "minutes",
    "mean_dice": "Dice, test",
}


def tables_of(
    figures: Figures,
    claims: list[dict],
    secondary: Mapping[str, list[dict]],
    loss_claims: list[dict],
    targets: list[dict],
    trust: list[dict],
) -> str:
    """Return all tables.

    Args:
        secondary: claims beside the main ones, by the title of their table.
        loss_claims: about validation cases.
        trust: predicted Dice against Dice.
    """
    tables = {
        "Targets": markdown_table({name: name for name in TARGET_COLUMNS}, targets),
        "Groups of runs": markdown_table(GROUP_HEADINGS, [_row_of_group(figures, group) for group in figures.groups]),
        "Claims": markdown_table(CLAIM_HEADINGS, [claim_row(row) for row in claims]),
        **{title: markdown_table(CLAIM_HEADINGS, map(claim_row, rows)) for title, rows in secondary.items()},
        "What the students keep": markdown_table(KEPT_HEADINGS, _kept_rows(figures)),
        "Trust without a reference": markdown_table(TRUST_HEADINGS, trust),
        "Losses on validation cases": markdown_table(CLAIM_HEADINGS, [claim_row(row) for row in loss_claims]),
        "Choices on validation cases": markdown_table(CHOICE_HEADINGS, _choice_rows(figures)),
        "Runs": markdown_table(RUN_HEADINGS, _run_rows(figures)),
    }
    return sections(tables)


def _kept_rows(figures: Figures) -> list[dict]:
    """Return the rows of the students: share of the ensemble's gain over the network without soft labels, and costs."""
    rows = []
    for each in filter(lambda each: each.is_in(figures.groups), DISTILLATIONS):
        alone, student, ensemble = (figures.mean(group) for group in (each.alone, each.student, each.ensemble))
        smaller = figures.of_runs(each.ensemble, "parameters")[0] / figures.of_runs(each.student, "parameters")[0]
        dices = {"dice": f"{alone:.4f}", "student_dice": f"{student:.4f}", "ensemble_dice": f"{ensemble:.4f}"}
        share = f"{(student - alone) / (ensemble - alone):.0%}" if ensemble > alone else None
        gains = {"share": share, "faster": f"{figures.speedup(each):.1f}", "smaller": f"{smaller:.1f}"}
        rows.append({"student": each.student, "alone": each.alone, **dices, **gains})
    return rows


def _choice_rows(figures: Figures) -> list[dict]:
    """Return the rows of all tried options, and of the network without soft labels that was trained as long."""
    rows = [{**row, "mean_dice": f"{float(row['mean_dice']):.4f}"} for row in figures.choices]
    alone = [row for row in figures.runs if row["part"] == "choices"]
    return rows + [
        {"part": row["part"], "question": row["group"], "mean_dice": f"{float(row['mean_dice']):.4f}"} for row in alone
    ]


def _run_rows(figures: Figures) -> list[dict]:
    """Return a row for each trained and tested network; a network of two groups is listed once."""
    rows = {}
    for group in figures.groups:
        for row in figures.runs:
            if (row["group"], row["split"]) == (group, "test") and row["minutes"]:
                dice, minutes = float(row["mean_dice"]), float(row["minutes"])
                formatted = {"mean_dice": f"{dice:.4f}", "minutes": f"{minutes:.1f}", "parameters": row["parameters"]}
                rows.setdefault(row["run"], {"run": row["run"], "group": group, **formatted})
    return list(rows.values())


def _row_of_group(figures: Figures, group: str) -> dict:
    dices = np.array([v for v in figures.values(group)[MEAN, PRIMARY].values() if v is not None])
    minutes, cases = figures.of_runs(group, "minutes"), figures.of_runs(group, "training_cases")
    low, high = mean_interval(dices)
    return {
        "group": group,
        "runs": len(figures.of_runs(group, "mean_dice")),
        "networks": int(figures.of_runs(group, "networks")[0]),
        "parameters": " or ".join(f"{int(n):,}" for n in dict.fromkeys(figures.of_runs(group, "parameters"))),
        "training_cases": " or ".join(str(int(n)) for n in dict.fromkeys(cases)),
        "minutes": f"{mean(minutes):.1f}" if minutes else None,
        "val": f"{figures.mean(group, split='val'):.4f}",
        "mean_dice": f"{dices.mean():.4f}",
        "interval": f"{low:.4f} to {high:.4f}" if None not in (low, high) else None,
        "dice_1": f"{figures.mean(group, region='1'):.4f}",
        "dice_2": f"{figures.mean(group, region='2'):.4f}",
        "asd_mm": f"{figures.mean(group, 'asd_mm'):.3f}",
        "ece": f"{figures.mean(group, 'ece'):.4f}",
        "seconds": f"{mean(figures.of_runs(group, 'seconds')):.3f}",
        "peak_memory_mb": f"{max(figures.of_runs(group, 'peak_memory_mb')):.0f}",
    }
