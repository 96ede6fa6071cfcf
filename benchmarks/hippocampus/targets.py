"""What the study of the hippocampus was to reach, held against its kept results: tables, targets, pictures.

RESULTS/claims.csv     differences between groups of runs, with intervals and tests
        targets.csv    every target, the figure, and whether it is met
        tables.md      all tables, to be read
        means.png      all groups of runs
        <student>.png  each group of students beside its ensemble and the same network without soft labels, case by case
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import truediv
from statistics import mean

import numpy as np

from base.atomic_file import write_text
from benchmarks.study.claims import CLAIM_COLUMNS, Claim, decide_claims, median_run
from benchmarks.study.pictures import draw_means
from benchmarks.study.results import Results, values_of
from benchmarks.study.tables import interval_text, markdown_table, p_text
from utils.comparison import MEAN, PRIMARY, Values, mean_interval, paired
from utils.pictures import draw_comparison
from utils.tables import rounded, write_table

MARGIN = 0.005
LEAST_SINGLE, LEAST_STUDENT = 0.885, 0.895
MOST_MINUTES, MOST_PARAMETERS = 15, 100_000
LEAST_SPEEDUP = 0.9  # of the number of members
TARGET_COLUMNS = ("target", "bar", "figure", "met")


@dataclass(frozen=True)
class Distillation:
    """A group of students, that of its ensemble, and that of the same network without soft labels.

    Attributes:
        bar: of the p value with which the student is to be better than the network alone.
    """

    student: str
    ensemble: str
    alone: str
    bar: float = 0.05

    def is_in(self, groups: Sequence[str]) -> bool:
        return {self.student, self.ensemble, self.alone} <= set(groups)


GROUPS = ("single", "uniform member", "uniform ensemble", "uniform student", "diverse member", "diverse ensemble")
GROUPS += ("diverse student", "half-width student", "quarter-width student", "UNet3D student")
GROUPS += ("small UNet3D", "small UNet3D student", "small UNet3D student, KL+dice")
GROUPS += ("few references alone", "ensemble of few references", "student of few references")
GROUPS += ("student of few references, KL+dice",)
ENSEMBLES = ("uniform", "diverse")
DISTILLATIONS = (
    Distillation("uniform student", "uniform ensemble", "single"),
    Distillation("diverse student", "diverse ensemble", "single"),
    Distillation("small UNet3D student", "diverse ensemble", "small UNet3D"),
    Distillation("small UNet3D student, KL+dice", "diverse ensemble", "small UNet3D"),
    Distillation("student of few references", "ensemble of few references", "few references alone", 0.01),
    Distillation("student of few references, KL+dice", "ensemble of few references", "few references alone", 0.01),
)
STUDENTS = (*(distillation.student for distillation in DISTILLATIONS), "UNet3D student")

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
CLAIM_HEADINGS = {
    "claim": "claim",
    "difference": "difference",
    "interval": "95% interval",
    "p": "p",
    "p_holm": "p (Holm)",
    "bar": "bar",
    "met": "shown",
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


class Figures:
    """The kept results, as the targets ask for them."""

    def __init__(self, results: Results):
        self.runs = results.read("runs")
        self.choices = results.read("choices")
        self._cases = results.read("cases")
        known = {row["group"] for row in self.runs if row["split"] == "test"}
        self.groups = [group for group in GROUPS if group in known]

    def values(self, name: str, split: str = "test") -> Values:
        """Of a group of runs, or of one run."""
        return values_of(self._cases, name, split)

    def mean(self, name: str, measure: str = PRIMARY, split: str = "test", region: str = MEAN) -> float:
        """Over cases."""
        return mean(value for value in self.values(name, split)[region, measure].values() if value is not None)

    def of_runs(self, group: str, column: str, split: str = "test") -> list[float]:
        """A column of `runs.csv` for each run of a group; nothing where it is empty."""
        found = [row[column] for row in self.runs if (row["group"], row["split"]) == (group, split)]
        return [float(value) for value in found if value]


def report(results: Results) -> None:
    """Write and print all tables of the parts that are kept, and draw the pictures."""
    figures = Figures(results)
    claims = decide_claims(claims_of(figures), figures.values)
    targets = targets_of(figures, claims)
    write_table(results.folder / "claims.csv", CLAIM_COLUMNS, map(rounded, claims))
    write_table(results.folder / "targets.csv", TARGET_COLUMNS, targets)
    text = tables_of(figures, claims, targets)
    write_text(results.folder / "tables.md", text)
    print(text)
    draw(figures, results)


def claims_of(figures: Figures) -> list[Claim]:
    """Those of which both groups were run."""
    claims = [
        Claim(f"{kind} ensemble", median_run(figures.runs, f"{kind} member", "test"), 0.01)
        for kind in ENSEMBLES
        if f"{kind} member" in figures.groups
    ]
    claims += [Claim(each.student, each.alone, each.bar) for each in DISTILLATIONS]
    claims += [Claim(each.student, each.ensemble, 0.05, MARGIN) for each in DISTILLATIONS]
    claims += [Claim(f"{width}-width student", "single", 0.05, MARGIN) for width in ("half", "quarter")]
    known = {*figures.groups, *(row["run"] for row in figures.runs)}
    return [claim for claim in claims if {claim.group, claim.against} <= known]


def targets_of(figures: Figures, claims: list[dict]) -> list[dict]:
    """Rows of `TARGET_COLUMNS`."""
    rows = []

    def add(target: str, bar: object, figure: str, met: bool) -> None:
        rows.append({"target": target, "bar": bar, "figure": figure, "met": "yes" if met else "NO"})

    if "single" in figures.groups:
        dice, minutes = figures.mean("single"), max(figures.of_runs("single", "minutes"))
        parameters = int(figures.of_runs("single", "parameters")[0])
        bar = f"≥ {LEAST_SINGLE}, ≤ {MOST_PARAMETERS:,} parameters, ≤ {MOST_MINUTES} minutes"
        met = dice >= LEAST_SINGLE and minutes <= MOST_MINUTES and parameters <= MOST_PARAMETERS
        add("single dil2D, mean Dice", bar, f"{dice:.4f}, {parameters:,}, {minutes:.1f} minutes", met)
    for row in claims:
        figure = f"{row['difference']:+.4f}, p {p_text(row['p'])}, with Holm's correction {p_text(row['p_holm'])}"
        add(row["claim"], f"p < {row['bar']}", figure, row["met"])
    students = [group for group in STUDENTS if group in figures.groups]
    if students:
        best = max(students, key=lambda group: figures.mean(group, split="val"))
        dice = figures.mean(best)
        add(
            "best student (on validation cases), mean Dice",
            f"≥ {LEAST_STUDENT}",
            f"{best}: {dice:.4f}",
            dice >= LEAST_STUDENT,
        )
    for each in DISTILLATIONS:
        if {each.student, each.ensemble} <= set(figures.groups):
            members = figures.of_runs(each.ensemble, "networks")[0]
            faster, bar = speedup(figures, each), LEAST_SPEEDUP * members
            target = f"time of the {each.ensemble} over that of the {each.student}"
            add(target, f"≥ {bar:.1f}", f"{faster:.2f}", faster >= bar)
        if {each.student, each.alone} <= set(figures.groups):
            ece, bar = figures.mean(each.student, "ece"), figures.mean(each.alone, "ece")
            target = f"expected calibration error, {each.student}"
            add(target, f"≤ {bar:.4f}, of {each.alone}", f"{ece:.4f}", ece <= bar)
    return rows


def speedup(figures: Figures, distillation: Distillation) -> float:
    """The ensemble's time per case over the student's."""
    students = figures.of_runs(distillation.student, "seconds")
    return figures.of_runs(distillation.ensemble, "seconds")[0] / mean(students)


def tables_of(figures: Figures, claims: list[dict], targets: list[dict]) -> str:
    """All tables, as Markdown."""
    tables = {
        "Targets": markdown_table({name: name for name in TARGET_COLUMNS}, targets),
        "Groups of runs": markdown_table(GROUP_HEADINGS, [_row_of_group(figures, group) for group in figures.groups]),
        "Claims": markdown_table(CLAIM_HEADINGS, [_row_of_claim(row) for row in claims]),
        "What the students keep": markdown_table(KEPT_HEADINGS, _kept_rows(figures)),
        "Choices on validation cases": markdown_table(CHOICE_HEADINGS, _choice_rows(figures)),
        "Runs": markdown_table(RUN_HEADINGS, _run_rows(figures)),
    }
    return "\n".join(f"## {title}\n\n{table}" for title, table in tables.items())


def _row_of_claim(row: dict) -> dict:
    return {
        "claim": row["claim"],
        "difference": f"{row['difference']:+.4f}",
        "interval": interval_text(row["low"], row["high"]),
        "p": p_text(row["p"]),
        "p_holm": p_text(row["p_holm"]),
        "bar": f"{row['bar']:g}",
        "met": "yes" if row["met"] else "NO",
    }


def _kept_rows(figures: Figures) -> list[dict]:
    """Of each student: how far it comes on the way from the same network without soft labels to its ensemble."""
    rows = []
    for each in filter(lambda each: each.is_in(figures.groups), DISTILLATIONS):
        alone, student, ensemble = (figures.mean(group) for group in (each.alone, each.student, each.ensemble))
        sizes = (figures.of_runs(group, "parameters")[0] for group in (each.ensemble, each.student))
        dices = {"dice": f"{alone:.4f}", "student_dice": f"{student:.4f}", "ensemble_dice": f"{ensemble:.4f}"}
        share = f"{(student - alone) / (ensemble - alone):.0%}" if ensemble > alone else None
        gains = {"share": share, "faster": f"{speedup(figures, each):.1f}", "smaller": f"{truediv(*sizes):.1f}"}
        rows.append({"student": each.student, "alone": each.alone, **dices, **gains})
    return rows


def _choice_rows(figures: Figures) -> list[dict]:
    """What was tried, and beside it the network without soft labels that was trained as long."""
    rows = [{**row, "mean_dice": f"{float(row['mean_dice']):.4f}"} for row in figures.choices]
    alone = [row for row in figures.runs if row["part"] == "choices"]
    return rows + [
        {"part": row["part"], "question": row["group"], "mean_dice": f"{float(row['mean_dice']):.4f}"} for row in alone
    ]


def _run_rows(figures: Figures) -> list[dict]:
    """A row for each network that was trained and tested; one of two groups comes once."""
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
        "interval": f"{low:.4f} to {high:.4f}",
        "dice_1": f"{figures.mean(group, region='1'):.4f}",
        "dice_2": f"{figures.mean(group, region='2'):.4f}",
        "asd_mm": f"{figures.mean(group, 'asd_mm'):.3f}",
        "ece": f"{figures.mean(group, 'ece'):.4f}",
        "seconds": f"{mean(figures.of_runs(group, 'seconds')):.3f}",
        "peak_memory_mb": f"{max(figures.of_runs(group, 'peak_memory_mb')):.0f}",
    }


def draw(figures: Figures, results: Results) -> None:
    """The means of all groups, and each student beside its ensemble and the single network, case by case."""

    def dices(*names: str) -> np.ndarray:
        return paired(*(figures.values(name)[MEAN, PRIMARY] for name in names))

    if not figures.groups:
        return
    draw_means(results.folder / "means.png", {group: dices(group)[0] for group in figures.groups}, "single")
    for each in DISTILLATIONS:
        if each.is_in(figures.groups):
            names = [each.student, each.alone, each.ensemble]
            values = dices(*names)
            limits = {("mean", name): mean_interval(values[0] - other) for name, other in zip(names[1:], values[1:])}
            path = results.folder / f"{re.sub(r'[^A-Za-z0-9]+', '_', each.student)}.png"
            draw_comparison(path, names, {"mean": values}, limits, MARGIN)
