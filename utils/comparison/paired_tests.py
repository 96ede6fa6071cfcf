"""Statistics of two runs over the same cases: paired differences, their intervals, and what they prove.

A difference is that of one patient in both runs: of a patient with several cases, the mean over these. Patients are
independent of one another, cases of one patient are not.

*Interval*: 95%, of the mean difference, by the studentized bootstrap (bootstrap-t; Efron and Tibshirani, "An
Introduction to the Bootstrap", 1993, chapter 12.5) over patients. In simulations with 10 and 40, of a normal and of
an exponential distribution, it covered the true mean in 95% of the trials; percentile and BCa intervals in 86 to 94%.

*Difference*: Wilcoxon's signed-rank test of the hypothesis that differences are symmetric about 0, two-sided, exact
also with ties and zeros (Pratt, J. Am. Stat. Assoc. 54, 1959: zeros are ranked, and left out then). Its p values are
corrected by Holm's method (Scand. J. Stat. 6, 1979). A family is all tests of one measure: of every class, region and
mean, against every run of the report. So the chance of any false claim about Dice, the primary measure, is 5% at most,
however many classes and runs there are; each further measure is a family of its own, and secondary.

*Non-inferiority*, of Dice: the hypothesis that the mean difference is -margin or less, one-sided, is tested by the
same studentized bootstrap. The claim is about means, and so not one for Wilcoxon's test. The t test is too bold under
the left skew that a few failures bring: of 40 differences it claimed falsely in 8% (drawn from real ones) to 10%
(exponential) of the trials, this test in 6 to 7%. It is not corrected: the claim is one test against each run, that of
the mean over classes; the other rows show where it comes from.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from utils.evaluation.case_measures import MEASURES

Values = Mapping[tuple[str, str], Mapping[str, float | None]]  # by class (region) and measure, then by case

COLUMNS = (
    "against",
    "class",
    "measure",
    "cases",
    "patients",
    "mean",
    "against_mean",
    "difference",
    "low",
    "high",
    "p_wilcoxon",
    "p_holm",
    "margin",
    "p_non_inferior",
)
PRIMARY = "dice"
MEAN = "mean"  # over the foreground classes, in the place of a class's name

_RESAMPLES = 9999
_SEED = 0
_LIMITS = (0.025, 0.975)
_DECIMALS = 12  # measures have six digits: what a difference has beyond is rounding, and would hide ties


def with_mean(values: Values, classes: Sequence[str]) -> Values:
    """`values` and, of several `classes`, each case's mean over them, where every class has a value, as `MEAN`."""
    if len(classes) < 2:
        return values
    means = {}
    for measure in MEASURES:
        by_class = [values[name, measure] for name in classes]
        of_case = {case: [some.get(case) for some in by_class] for case in by_class[0]}
        means[MEAN, measure] = {case: None if None in some else sum(some) / len(some) for case, some in of_case.items()}
    return {**values, **means}


def compare(
    own: Values, others: Mapping[str, Values], margin: float, patients: Mapping[str, str] = MappingProxyType({})
) -> list[dict]:
    """Rows of `COLUMNS` of a run against each of `others`, by name: a row a measure and class that both have.

    Only cases where both have a value count. A difference is the run's own value less the other's.

    Args:
        margin: of non-inferiority, in Dice.
        patients: of the cases, by name; a case that it lacks is a patient of its own.
    """
    rows = [row for name, other in others.items() for row in _compare_two(own, name, other, margin, patients)]
    for measure in MEASURES:
        family = [row for row in rows if row["measure"] == measure]
        for row, p in zip(family, holm([row["p_wilcoxon"] for row in family])):
            row["p_holm"] = p
    return rows


def _compare_two(own: Values, name: str, other: Values, margin: float, patients: Mapping[str, str]) -> Iterator[dict]:
    for measure in MEASURES:
        for region in (region for region, some in own if some == measure and (region, measure) in other):
            values = own[region, measure], other[region, measure]
            pair = paired(*values, patients=patients)
            if not pair.size:
                continue
            differences = np.round(pair[0] - pair[1], _DECIMALS)
            low, high = mean_interval(differences)
            row = {
                "against": name,
                "class": region,
                "measure": measure,
                "cases": len(paired_cases(*values)),
                "patients": len(differences),
                "mean": float(pair[0].mean()),
                "against_mean": float(pair[1].mean()),
                "difference": float(differences.mean()),
                "low": low,
                "high": high,
                "p_wilcoxon": signed_rank_p(differences),
            }
            if measure == PRIMARY:
                row |= {"margin": margin, "p_non_inferior": p_of_mean_above(differences, -margin)}
            yield row


def paired(*values: Mapping[str, float | None], patients: Mapping[str, str] = MappingProxyType({})) -> np.ndarray:
    """The values of the patients that have one everywhere, float (runs, patients), in the order of the first's cases.

    Of several cases of a patient, by `patients`, the mean; a case that it lacks is a patient of its own.
    """
    groups: dict[str, list[str]] = {}
    for case in paired_cases(*values):
        groups.setdefault(patients.get(case, case), []).append(case)
    return np.array([[np.mean([some[case] for case in cases]) for cases in groups.values()] for some in values], float)


def paired_cases(*values: Mapping[str, float | None]) -> list[str]:
    """The cases that have a value everywhere."""
    return [case for case in values[0] if all(some.get(case) is not None for some in values)]


def signed_rank_p(differences: np.ndarray) -> float:
    """Two-sided p value of Wilcoxon's signed-rank test: of all choices of signs, how many are as far from even.

    The distribution of the sum of the positive ranks is put together rank by rank; midranks of ties count in halves,
    so that twice a rank is a whole number.
    """
    from scipy.stats import rankdata  # half a second, which only runs that are compared spend

    counted = differences != 0
    doubled = np.rint(2 * rankdata(np.abs(differences))[counted]).astype(int)
    chances = np.zeros(doubled.sum() + 1)  # of each doubled sum
    chances[0] = 1
    for rank in doubled:
        chances[rank:] = chances[rank:] + chances[:-rank]
        chances /= 2
    found = doubled[differences[counted] > 0].sum()
    return float(min(1.0, 2 * min(chances[: found + 1].sum(), chances[found:].sum())))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values of one family, corrected by Holm's method, in their order."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, (len(p_values) - rank) * p_values[index])
        corrected[index] = min(1.0, largest)
    return corrected


def mean_interval(differences: np.ndarray) -> tuple[float | None, float | None]:
    """Studentized bootstrap interval of the mean; None for a limit that so few, or so equal, values do not have."""
    error = _standard_error(differences)
    if error == 0:
        return None, None
    t_low, t_high = np.quantile(_resampled_t(differences), _LIMITS, method="closest_observation")
    mean = differences.mean()
    return tuple(
        float(limit) if np.isfinite(limit) else None for limit in (mean - t_high * error, mean - t_low * error)
    )


def p_of_mean_above(differences: np.ndarray, bound: float) -> float | None:
    """One-sided p value of the hypothesis that the true mean is `bound` or less; None where all values are equal."""
    error = _standard_error(differences)
    if error == 0:
        return None
    t = (differences.mean() - bound) / error
    return float((1 + np.count_nonzero(_resampled_t(differences) >= t)) / (1 + _RESAMPLES))


def _standard_error(values: np.ndarray) -> float:
    """Of the mean; 0 where all are equal."""
    return float(values.std(ddof=1) / len(values) ** 0.5) if np.ptp(values) > 0 else 0.0


def _resampled_t(values: np.ndarray) -> np.ndarray:
    """How many of its standard errors the mean of each resample is above that of `values`, float (resamples,).

    Infinite (or 0) for a resample whose values are all equal.
    """
    resamples = values[_resampled_patients(len(values))]
    above = resamples.mean(axis=1) - values.mean()
    errors = resamples.std(axis=1, ddof=1) / len(values) ** 0.5
    t = np.where(above == 0, 0, np.copysign(np.inf, above))
    return np.divide(above, errors, out=t, where=np.ptp(resamples, axis=1) > 0)


def _resampled_patients(count: int) -> np.ndarray:
    """Indices of `count` patients drawn with replacement, (resamples, count); always the same."""
    return np.random.default_rng(_SEED).integers(0, count, (_RESAMPLES, count))


def share_kept(
    single: np.ndarray, ensemble: np.ndarray, student: np.ndarray
) -> tuple[float | None, float | None, float | None]:
    """The share of an ensemble's mean gain over a single network that a student keeps, and its 95% interval.

    (student - single) / (ensemble - single), of means of the same patients, (patients,). None where the ensemble
    gains nothing. The interval is that of percentiles over resampled patients; a resample in which the ensemble
    gains nothing counts as beyond either limit, and a limit that lies among those is None: the gain is not certain
    enough.
    """
    gain, kept = (ensemble - single).mean(), (student - single).mean()
    if gain <= 0:
        return None, None, None
    drawn = _resampled_patients(len(single))
    gains, shares = (ensemble - single)[drawn].mean(axis=1), (student - single)[drawn].mean(axis=1)
    gained = gains > 0
    limits = []
    for limit, beyond in zip(_LIMITS, (-np.inf, np.inf)):
        ratios = np.divide(shares, gains, out=np.full(len(gains), beyond), where=gained)
        value = np.quantile(ratios, limit, method="closest_observation")
        limits.append(float(value) if np.isfinite(value) else None)
    return float(kept / gain), *limits
