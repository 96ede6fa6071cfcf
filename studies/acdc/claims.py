"""Claims and targets of the study, by patient: both frames of a patient count as one, with their mean."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from base.label_classes import MEAN
from studies.acdc.settings import VIEWS
from studies.claims import Claim, decide_claims
from studies.results import Results, values_of
from utils.comparison.paired_tests import PRIMARY, Values, paired, share_kept

MARGIN = 0.005
PRIMARY_CLAIMS = (
    Claim("student, 7 labelled", "alone, 7 labelled", 0.01),
    Claim("student, 7 labelled", "ensemble, 7 labelled", 0.05, MARGIN),
)


def _usual_claims(variant: str) -> tuple[Claim, ...]:
    """Return the claims about ensemble, student and network alone in one variant of the study."""
    alone, ensemble, student = (f"{role}, {variant}" for role in ("alone", "ensemble", "student"))
    better = (Claim(ensemble, alone, 0.05), Claim(student, alone, 0.05), Claim(student, ensemble, 0.05))
    return (*better, Claim(student, ensemble, 0.05, MARGIN))


SECONDARY_CLAIMS = (
    Claim("ensemble, 7 labelled", "alone, 7 labelled", 0.05),
    Claim("student, 7 labelled", "ensemble, 7 labelled", 0.05),
    Claim("student, 7 labelled", f"alone, 7 labelled, {VIEWS} views", 0.05),
    Claim("ensemble, 7 labelled", "ensemble, 7 labelled, one view", 0.05),
    Claim("second student, 7 labelled", "student, 7 labelled", 0.05),
    *_usual_claims("7 labelled, all components"),
    *_usual_claims("3 labelled"),
    *_usual_claims("70 labelled"),
)
TARGET_COLUMNS = ("target", "bar", "figure", "met")


class Figures:
    """Stored results of the study by groups of runs."""

    def __init__(self, results: Results):
        self.cases = results.read("cases")
        self.runs = results.read("runs")
        self.choices = results.read("choices")
        self.groups = list(dict.fromkeys(row["group"] for row in self.runs if row["split"] == "test"))

    def values(self, group: str, part: str | None = None, split: str = "test") -> Values:
        """Return all measures of each patient, averaged over frames and seeds; of one part if given."""
        rows = [row for row in self.cases if part in (None, row["part"])]
        return {key: _by_patient(cases) for key, cases in values_of(rows, group, split).items()}

    def mean(self, group: str, measure: str = PRIMARY, region: str = MEAN, **chosen) -> float:
        """Return the mean of a measure over the patients."""
        known = self.values(group, **chosen)[region, measure].values()
        return fmean(value for value in known if value is not None)

    def of_runs(self, group: str, column: str) -> list[float]:
        """Return a column of the runs of a group on the test patients."""
        rows = [row for row in self.runs if (row["group"], row["split"]) == (group, "test")]
        return [float(row[column]) for row in rows if row[column]]

    def claims(self, claims: Sequence[Claim]) -> list[dict]:
        """Test the claims whose groups have results; Holm's correction is over these."""
        known = [claim for claim in claims if {claim.group, claim.against} <= set(self.groups)]
        return decide_claims(known, self.values)

    def dices(self, *groups: str) -> np.ndarray:
        """Return the mean Dice of the patients that all groups tested, float (groups, patients)."""
        return paired(*(self.values(group)[MEAN, PRIMARY] for group in groups))


def patient_of(case: str) -> str:
    """Return the patient of a case, which is one frame of a scan."""
    return case.split("_frame")[0]


def _by_patient(cases: dict[str, float | None]) -> dict[str, float | None]:
    """Average the values of the frames of each patient; None where no frame has one."""
    patients: dict[str, list[float]] = {}
    for case, value in cases.items():
        known = patients.setdefault(patient_of(case), [])
        if value is not None:
            known.append(value)
    return {patient: fmean(known) if known else None for patient, known in patients.items()}


def targets_of(figures: Figures, primary: Sequence[dict]) -> list[dict]:
    """Compare targets with results; return rows of `TARGET_COLUMNS`."""
    rows = []

    def add(target: str, bar: str, figure: str, met: bool) -> None:
        rows.append({"target": target, "bar": bar, "figure": figure, "met": "yes" if met else "NO"})

    for labelled, part, least in (("7 labelled", "fold1", 0.900), ("3 labelled", "three", 0.875)):
        if part in {row["part"] for row in figures.runs}:
            dice = figures.mean(f"student, {labelled}", part=part)
            add(f"student's mean Dice, {labelled}, published split", f"≥ {least:.3f}", f"{dice:.4f}", dice >= least)
    for row in primary:
        least = 0.01 if row["margin"] is None else -MARGIN
        figure = f"{row['difference']:+.4f}, p {row['p']:.4g}"
        add(
            row["claim"],
            f"≥ {least:+g}, p < {row['bar']:g}",
            figure,
            row["p"] < row["bar"] and row["difference"] >= least,
        )
    names = [f"{role}, 7 labelled" for role in ("alone", "ensemble", "student")]
    if set(names) <= set(figures.groups):
        kept, low, high = share_kept(*figures.dices(*names))
        shown = "nothing to keep" if kept is None else f"{kept:.2f} ({_limit(low)} to {_limit(high)})"
        # Without a lower limit, there may be no gain to keep.
        add("share of the ensemble's gain kept", "≥ 0.8", shown, kept is not None and low is not None and kept >= 0.8)
        errors = [figures.mean(name, "ece") for name in names[1:]]
        add(
            "student's calibration error",
            f"≤ {errors[0]:.4f}, the ensemble's",
            f"{errors[1]:.4f}",
            errors[1] <= errors[0],
        )
    minutes = sum(float(row["minutes"]) for row in trained_once(figures, "fold1"))
    if minutes:
        add(
            "minutes of training for one draw of 7 (fold 1), on 2 cores",
            "≤ 120",
            f"{minutes / 2:.0f}",
            minutes / 2 <= 120,
        )
    return rows


def trained_once(figures: Figures, part: str) -> list[dict]:
    """Return the rows of the trainings of a part, each training once."""
    rows = [row for row in figures.runs if row["part"] == part and row["split"] == "val" and row["minutes"]]
    return list({row["run"]: row for row in rows}.values())


def _limit(value: float | None) -> str:
    return "no limit" if value is None else f"{value:.2f}"
