"""Calibration of estimates of the Dice on validation patients: a predicted Dice, and a lower bound.

The prediction is a straight line from the estimate, fitted by least squares; a line keeps the order of cases, which a
step function (isotonic regression) would lose. Its slope is not negative.

The bound is that of split conformal prediction (Vovk, Gammerman and Shafer, "Algorithmic learning in a random world",
2005; Lei et al., J. Am. Stat. Assoc. 113, 2018). The score of a patient is the largest excess of an estimate over the
Dice among the patient's cases. With n patients, the margin is the k-th smallest score, k = ceil(0.9 (n + 1)). Estimates
less the margin are below the Dice in all cases of a new patient with a probability of at least 90%, if patients are
exchangeable, because estimates come from networks that no validation patient has trained. k <= n needs n >= 9.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from base.dice_calibration import DiceLine

COVERAGE = 0.9
_FEWEST_FOR_SLOPE = 5  # patients; with fewer, only the shift of the line is fitted


def fit_line(estimates: Mapping[str, float], dices: Mapping[str, float], patients: Mapping[str, str]) -> DiceLine:
    """Fit the line and the margin to cases with an estimate and a Dice, by name; each patient counts once.

    Args:
        patients: patient of each case.
    """
    cases = [case for case in estimates if case in dices]
    groups: dict[str, list[int]] = {}
    for place, case in enumerate(cases):
        groups.setdefault(patients.get(case, case), []).append(place)
    x, y = (np.array([some[case] for case in cases]) for some in (estimates, dices))
    weights = np.empty(len(cases))
    for places in groups.values():
        weights[places] = 1 / len(places) / len(groups)
    mean_x, mean_y = weights @ x, weights @ y
    slope = 1.0
    if len(groups) >= _FEWEST_FOR_SLOPE:
        covariance, variance = weights @ ((x - mean_x) * (y - mean_y)), weights @ (x - mean_x) ** 2
        slope = max(0.0, float(covariance / variance)) if np.ptp(x) > 0 else 0.0  # rounding leaves a variance
    margin = conformal_margin([float((x - y)[places].max()) for places in groups.values()])
    return DiceLine(float(mean_y - slope * mean_x), slope, margin, len(groups))


def conformal_margin(scores: Sequence[float]) -> float | None:
    """Return the margin of the scores of n patients; None if n is too small for a bound."""
    rank = math.ceil(round(COVERAGE * (len(scores) + 1), 9))
    return sorted(scores)[rank - 1] if rank <= len(scores) else None


def fit_without_each(
    estimates: Mapping[str, float], dices: Mapping[str, float], patients: Mapping[str, str]
) -> dict[str, DiceLine]:
    """Return for each case the line fitted without its patient; no line for the only patient."""
    of_case = {case: patients.get(case, case) for case in estimates}
    lines = {}
    for patient in sorted(set(of_case.values())):
        others = {case: estimates[case] for case in estimates if of_case[case] != patient and case in dices}
        if others:
            line = fit_line(others, dices, patients)
            lines |= {case: line for case in estimates if of_case[case] == patient}
    return lines
