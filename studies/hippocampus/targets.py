"""Targets of the study, compared with its stored results."""

from studies.claims import Claim, median_run
from studies.hippocampus.figures import (
    AT_RANDOM,
    DISTILLATIONS,
    ENSEMBLES,
    ORDERED,
    STUDENTS,
    WITH_AND_WITHOUT_DICE,
    Figures,
)
from studies.tables import p_text

MARGIN = 0.005
LEAST_SINGLE, LEAST_STUDENT = 0.885, 0.895
MOST_MINUTES, MOST_PARAMETERS = 15, 100_000
LEAST_SPEEDUP = 0.9  # times the number of members
TARGET_COLUMNS = ("target", "bar", "figure", "met")


def claims_of(figures: Figures) -> list[Claim]:
    """Return the claims whose two groups have results."""
    claims = [
        Claim(f"{kind} ensemble", median_run(figures.runs, f"{kind} member", "test"), 0.01)
        for kind in ENSEMBLES
        if f"{kind} member" in figures.groups
    ]
    claims += [Claim(each.student, each.alone, each.bar) for each in DISTILLATIONS]
    claims += [Claim(each.student, each.ensemble, 0.05, MARGIN) for each in DISTILLATIONS]
    claims += [Claim("uniform half-width student", "single", 0.05, MARGIN)]
    claims += [Claim("half-width student", "dil2D alone, fp32", 0.05, MARGIN)]
    known = {*figures.groups, *(row["run"] for row in figures.runs)}
    return [claim for claim in claims if {claim.group, claim.against} <= known]


def secondary_claims_of(figures: Figures) -> dict[str, list[Claim]]:
    """Return the claims beside the main ones whose two groups have results, by the title of their table.

    If networks alone are not inferior to an ensemble, the claim that its student is not inferior means little.
    """
    student, ensemble, alone = "student of ten references", "ensemble of ten references", "ten references alone"
    axial_student, axial_alone = f"{student}, dil2D, axial", f"{alone}, dil2D, axial"
    by_title = {
        "Ten references": [
            Claim(student, alone, 0.01),
            Claim(ensemble, alone, 0.05),
            Claim(student, ensemble, 0.05, MARGIN),
        ],
        "Networks alone against the ensembles": [
            Claim(*pair, 0.05, MARGIN) for pair in dict.fromkeys((each.alone, each.ensemble) for each in DISTILLATIONS)
        ],
        "Narrow students against the same networks alone": [
            Claim(f"{width}-width student", f"{width}-width dil2D alone", 0.05) for width in ("half", "quarter")
        ],
        "Students of one plane": [
            Claim(axial_student, f"{student}, dil2D", 0.05, MARGIN),
            Claim(axial_student, axial_alone, 0.05),
            Claim(f"{student}, dil2D", f"{alone}, dil2D", 0.05),
        ],
        "References in the order of annotate_next.csv": [Claim(ORDERED, AT_RANDOM, 0.05)],
    }
    known = set(figures.groups)
    return {
        title: [claim for claim in claims if {claim.group, claim.against} <= known]
        for title, claims in by_title.items()
    }


def loss_claims_of(figures: Figures) -> list[Claim]:
    """Return the claims, tested on validation cases, that a Dice loss for soft labels improves students."""
    return [Claim(*pair, 0.05) for pair in WITH_AND_WITHOUT_DICE if set(pair) <= set(figures.groups)]


def targets_of(figures: Figures, claims: list[dict]) -> list[dict]:
    """Compare targets with results; return rows of `TARGET_COLUMNS`."""
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
            faster, bar = figures.speedup(each), LEAST_SPEEDUP * members
            target = f"time of the {each.ensemble} over that of the {each.student}"
            add(target, f"≥ {bar:.1f}", f"{faster:.2f}", faster >= bar)
        if {each.student, each.alone} <= set(figures.groups):
            ece, bar = figures.mean(each.student, "ece"), figures.mean(each.alone, "ece")
            target = f"expected calibration error, {each.student}"
            add(target, f"≤ {bar:.4f}, of {each.alone}", f"{ece:.4f}", ece <= bar)
    return rows
