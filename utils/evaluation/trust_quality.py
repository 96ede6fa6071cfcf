"""How well a score tells good from bad predictions, where references exist.

Risk–coverage curve: the mean risk, 1 - Dice, of the most trusted cases, over the share of cases that are trusted
(El-Yaniv and Wiener, J. Mach. Learn. Res. 11, 2010). The area under it, AURC, is the mean over all numbers of trusted
cases: that of a random order is the mean risk, that of the best order is found by sorting cases by their risk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_LEVEL = 0.95  # of the interval of a coverage


@dataclass(frozen=True)
class RiskCoverage:
    """Risk–coverage curve of a score.

    Attributes:
        risks: mean risk of the 1, 2, ... most trusted cases, (cases,).
        aurc, aurc_random, aurc_best: area under the curve, under that of a random order, and of the best order.
    """

    risks: np.ndarray
    aurc: float
    aurc_random: float
    aurc_best: float

    @classmethod
    def of(cls, scores: Sequence[float], dices: Sequence[float]) -> "RiskCoverage":
        """Compute the curve of scores, high for trusted cases; cases of equal score have their mean risk."""
        risks = 1 - np.asarray(dices, float)
        _, group = np.unique(-np.asarray(scores, float), return_inverse=True)
        means = np.bincount(group, risks) / np.bincount(group)
        ordered = means[np.sort(group)]
        count = np.arange(1, len(risks) + 1)
        curve, best = (np.cumsum(some) / count for some in (ordered, np.sort(risks)))
        return cls(curve, float(curve.mean()), float(risks.mean()), float(best.mean()))


def spearman(scores: Sequence[float], dices: Sequence[float]) -> float | None:
    """Compute Spearman's rank correlation; None if it is undefined (fewer than three cases, or equal values)."""
    if len(scores) < 3 or np.ptp(scores) == 0 or np.ptp(dices) == 0:
        return None
    from scipy.stats import rankdata  # takes half a second to import

    return float(np.corrcoef(rankdata(scores), rankdata(dices))[0, 1])


@dataclass(frozen=True)
class Coverage:
    """Share of patients whose Dice is at least the bound in all their cases.

    Attributes:
        patients: number of patients with a bound.
        share: that holds.
        low, high: exact 95% interval of the share (Clopper and Pearson, Biometrika 26, 1934).
    """

    patients: int
    share: float
    low: float
    high: float

    @classmethod
    def of(
        cls, bounds: Mapping[str, float], dices: Mapping[str, float], patients: Mapping[str, str]
    ) -> "Coverage | None":
        """Compare bounds with the Dice, both by case; None without a bound."""
        held: dict[str, bool] = {}
        for case, bound in bounds.items():
            patient = patients.get(case, case)
            held[patient] = held.get(patient, True) and dices[case] >= bound
        if not held:
            return None
        from scipy.stats import beta

        count, total, tail = sum(held.values()), len(held), (1 - _LEVEL) / 2
        low = float(beta.ppf(tail, count, total - count + 1)) if count else 0.0
        high = float(beta.ppf(1 - tail, count + 1, total - count)) if count < total else 1.0
        return cls(total, count / total, low, high)
