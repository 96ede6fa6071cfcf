"""Claims about groups of runs, tested on stored results.

Runs that differ only in their seeds form a group: each case counts once, with the mean over the seeds. All tests are
paired over cases (see `utils/comparison/paired_tests.py`). Holm's correction is over all claims of one kind.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median_high

from base.label_classes import MEAN
from utils.comparison.paired_tests import PRIMARY, Values, compare, holm

CLAIM_COLUMNS = ("claim", "group", "against", "cases", "mean", "against_mean", "difference", "low", "high")
CLAIM_COLUMNS += ("margin", "p", "p_holm", "bar", "met")


@dataclass(frozen=True)
class Claim:
    """A claim that a group (or run) is better than another, or not inferior to it, with a p value below `bar`.

    Attributes:
        margin: non-inferiority margin, in Dice; None for a claim of being better.
    """

    group: str
    against: str
    bar: float
    margin: float | None = None

    @property
    def text(self) -> str:
        if self.margin is None:
            return f"{self.group}: better than {self.against}"
        return f"{self.group}: not inferior to {self.against} by {self.margin:g}"


def decide_claims(claims: Sequence[Claim], values: Callable[[str], Values]) -> list[dict]:
    """Test the claims, about the mean Dice over classes; return a row of `CLAIM_COLUMNS` for each.

    `p` is that of Wilcoxon's signed-rank test or of the non-inferiority test. A claim is met if p, after Holm's
    correction, is below the bar, and for a claim of being better also the interval of the mean difference above 0:
    ranks may be significant because of a small loss in most cases, beside a large gain in a few.

    Args:
        values: returns the values of a group or run by its name; only cases of both count.
    """
    rows = [_row(claim, values) for claim in claims]
    for is_kind in (lambda row: row["margin"] is None, lambda row: row["margin"] is not None):
        family = list(filter(is_kind, rows))
        for row, p in zip(family, holm([row["p"] for row in family])):
            row["p_holm"] = p
            is_better = row["low"] is not None and row["low"] > 0
            row["met"] = p < row["bar"] and (row["margin"] is not None or is_better)
    return rows


def _row(claim: Claim, values: Callable[[str], Values]) -> dict:
    own, other = (
        {key: cases for key, cases in values(name).items() if key == (MEAN, PRIMARY)}
        for name in (claim.group, claim.against)
    )
    (row,) = compare(own, {claim.against: other}, claim.margin or 0)
    p = row["p_wilcoxon"] if claim.margin is None else row["p_non_inferior"]
    row |= {"claim": claim.text, "group": claim.group, "bar": claim.bar, "margin": claim.margin}
    return {key: row[key] for key in CLAIM_COLUMNS if key in row} | {"p": 1.0 if p is None else p}


def median_run(rows: Sequence[dict], group: str, split: str) -> str:
    """Return the run of a group with the median of the mean Dice; of an even number, the better of the two middle ones.

    Args:
        rows: of ``runs.csv``.
    """
    dices = {row["run"]: float(row["mean_dice"]) for row in rows if (row["group"], row["split"]) == (group, split)}
    middle = median_high(dices.values())
    return next(run for run, dice in dices.items() if dice == middle)
