"""Paired statistics of two runs over the same cases: differences, confidence intervals and tests.

The unit is the patient: a difference is that of one patient between both runs, averaged over the patient's cases if
there are several. Patients are independent of one another; cases of one patient are not.

*Interval*: 95% confidence interval of the mean difference, by the studentized bootstrap over patients (bootstrap-t;
Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 12.5). In simulations with 10 and 40 patients
from a normal and an exponential distribution, it covered the true mean in 95% of the trials; percentile and BCa
intervals covered it in 86 to 94%.

*Difference*: Wilcoxon's signed-rank test of the hypothesis that differences are symmetric about 0, two-sided, exact
also with ties and zeros (Pratt, J. Am. Stat. Assoc. 54, 1959: zeros are ranked, and their ranks then dropped). The p
values are corrected by Holm's method (Scand. J. Stat. 6, 1979). A family consists of all tests of one measure: of every
class, region and mean, against every run of the report. The probability of any false positive for Dice, the primary
measure, is therefore at most 5%, whatever the number of classes and runs. Each other measure is a family of its own,
and secondary.

*Non-inferiority*, of Dice: the hypothesis that the mean difference is -margin or less is tested one-sided by the same
studentized bootstrap. Wilcoxon's test does not apply, as the claim is about means. The t test gives too many false
positives with left-skewed differences, which a few failures cause: with 40 patients, 8% (resampled from real
differences) to 10% (exponential) of the trials, against 6 to 7% with this test. There is no correction for multiple
tests, since the claim against each run rests on a single test, that of the mean over classes; the other rows are
descriptive.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist
from types import MappingProxyType

import numpy as np

from base.label_classes import MEAN
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

_RESAMPLES = 9999
_SEED = 0
_LIMITS = (0.025, 0.975)
_LARGEST_SAMPLE = 500  # patients; with more, the normal distribution replaces exact sums and resamples
_DECIMALS = 12  # measures have six digits; rounding errors beyond would hide ties


def with_mean(values: Values, classes: Sequence[str]) -> Values:
    """Add each case's mean over `classes` as `MEAN`, None unless every class has a value; not for a single class."""
    if len(classes) < 2:
        return values
    means = {}
    for measure in MEASURES:
        by_class = [values[name, measure] for name in classes]
        by_case = {case: [some.get(case) for some in by_class] for case in by_class[0]}
        means[MEAN, measure] = {case: None if None in some else sum(some) / len(some) for case, some in by_case.items()}
    return {**values, **means}


def compare(
    own: Values, others: Mapping[str, Values], margin: float, patients: Mapping[str, str] = MappingProxyType({})
) -> list[dict]:
    """Compare a run with each of `others`: one row of `COLUMNS` per run, measure and class that both have.

    Only cases with a value in both runs count. A difference is the run's own value minus the other's.

    Args:
        others: by name.
        margin: non-inferiority margin, in Dice.
        patients: patient of each case, by name; a case that is not listed is a patient of its own.
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
    """Return the values of patients with a value in every run, float (runs, patients), in the first run's order.

    The value of a patient is the mean over its cases; a case that `patients` does not list is a patient of its own.
    """
    groups: dict[str, list[str]] = {}
    for case in paired_cases(*values):
        groups.setdefault(patients.get(case, case), []).append(case)
    return np.array([[np.mean([some[case] for case in cases]) for cases in groups.values()] for some in values], float)


def paired_cases(*values: Mapping[str, float | None]) -> list[str]:
    """Return the cases with a value in every run."""
    return [case for case in values[0] if all(some.get(case) is not None for some in values)]


def signed_rank_p(differences: np.ndarray) -> float:
    """Compute the two-sided p value of Wilcoxon's signed-rank test: exact for up to 500 patients.

    The null distribution of the sum of the positive ranks is built up rank by rank. Midranks of ties are multiples of
    1/2, so that ranks are doubled to be integers. Differences of 0 have ranks, but do not count (Pratt 1959).
    """
    from scipy.stats import rankdata, wilcoxon  # takes half a second, so that only comparisons import it

    if len(differences) > _LARGEST_SAMPLE and differences.any():
        return float(wilcoxon(differences, zero_method="pratt", correction=False, method="asymptotic").pvalue)
    counted = differences != 0
    doubled = np.rint(2 * rankdata(np.abs(differences))[counted]).astype(int)
    probabilities = np.zeros(doubled.sum() + 1)  # of each doubled sum
    probabilities[0] = 1
    for rank in doubled:
        probabilities[rank:] = probabilities[rank:] + probabilities[:-rank]
        probabilities /= 2
    found = doubled[differences[counted] > 0].sum()
    return float(min(1.0, 2 * min(probabilities[: found + 1].sum(), probabilities[found:].sum())))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p values of one family by Holm's method; the order is kept."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, (len(p_values) - rank) * p_values[index])
        corrected[index] = min(1.0, largest)
    return corrected


def mean_interval(differences: np.ndarray) -> tuple[float | None, float | None]:
    """Compute the 95% interval of the mean; None for a limit that is not finite.

    It is a studentized bootstrap interval for up to 500 patients, else that of the normal distribution.
    """
    error = _standard_error(differences)
    if error == 0:
        return None, None
    if len(differences) > _LARGEST_SAMPLE:
        t_low, t_high = map(NormalDist().inv_cdf, _LIMITS)
    else:
        t_low, t_high = np.quantile(_resampled_t(differences), _LIMITS, method="closest_observation")
    mean = differences.mean()
    return tuple(
        float(limit) if np.isfinite(limit) else None for limit in (mean - t_high * error, mean - t_low * error)
    )


def p_of_mean_above(differences: np.ndarray, bound: float) -> float | None:
    """Compute the one-sided p value of the hypothesis "true mean <= `bound`"; None if all values are equal."""
    error = _standard_error(differences)
    if error == 0:
        return None
    t = (differences.mean() - bound) / error
    if len(differences) > _LARGEST_SAMPLE:
        return NormalDist().cdf(-t)
    return float((1 + np.count_nonzero(_resampled_t(differences) >= t)) / (1 + _RESAMPLES))


def _standard_error(values: np.ndarray) -> float:
    """Return the standard error of the mean; 0 if all values are equal."""
    return float(values.std(ddof=1) / len(values) ** 0.5) if np.ptp(values) > 0 else 0.0


def _resampled_t(values: np.ndarray) -> np.ndarray:
    """Compute the t statistic of each resample, (its mean - mean of `values`) / its standard error, (resamples,).

    It is infinite (or 0) for a resample whose values are all equal.
    """
    resamples = values[_resampled_patients(len(values))]
    above = resamples.mean(axis=1) - values.mean()
    errors = resamples.std(axis=1, ddof=1) / len(values) ** 0.5
    t = np.where(above == 0, 0, np.copysign(np.inf, above))
    return np.divide(above, errors, out=t, where=np.ptp(resamples, axis=1) > 0)


def _resampled_patients(count: int) -> np.ndarray:
    """Sample indices of `count` patients with replacement, (resamples, count), with a fixed seed."""
    return np.random.default_rng(_SEED).integers(0, count, (_RESAMPLES, count))


def share_kept(
    single: np.ndarray, ensemble: np.ndarray, student: np.ndarray
) -> tuple[float | None, float | None, float | None]:
    """Compute the share of an ensemble's mean gain over a single network that a student keeps, with its 95% interval.

    (student - single) / (ensemble - single), with means over the same patients, (patients,). None if the ensemble
    gains nothing. The interval is the percentile interval over resampled patients. A resample in which the ensemble
    gains nothing counts as beyond both limits; a limit among such resamples is None, since the gain is then too
    uncertain.
    """
    gain, kept = (ensemble - single).mean(), (student - single).mean()
    if gain <= 0:
        return None, None, None
    indices = _resampled_patients(len(single))
    gains, shares = (ensemble - single)[indices].mean(axis=1), (student - single)[indices].mean(axis=1)
    gained = gains > 0
    limits = []
    for limit, beyond in zip(_LIMITS, (-np.inf, np.inf)):
        ratios = np.divide(shares, gains, out=np.full(len(gains), beyond), where=gained)
        value = np.quantile(ratios, limit, method="closest_observation")
        limits.append(float(value) if np.isfinite(value) else None)
    return float(kept / gain), *limits
