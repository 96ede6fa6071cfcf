"""Intervals and tests compared with examples by hand, with scipy, and in simulations with known truth."""

import numpy as np
import pytest
from scipy import stats

from utils.comparison import paired_tests
from utils.comparison.paired_tests import (
    MEAN,
    compare,
    holm,
    mean_interval,
    p_of_mean_above,
    share_kept,
    signed_rank_p,
    with_mean,
)


@pytest.fixture
def few_resamples(monkeypatch):
    """Make the bootstrap fast enough to be repeated."""
    monkeypatch.setattr(paired_tests, "_RESAMPLES", 299)


def test_signed_ranks_by_hand():
    assert signed_rank_p(np.array([0.1, 0.3, 0.2])) == 2 / 8  # all three positive, or all negative
    assert signed_rank_p(np.array([1.0, 2, 3, 4, -5])) == 2 * 10 / 32  # ten subsets of 1 to 5 have a sum of 5 or less
    assert signed_rank_p(np.array([0.0, 1, 1, 1, 2])) == 2 / 16
    assert signed_rank_p(np.zeros(3)) == 1


def test_signed_ranks_equal_scipy():
    rng = np.random.default_rng(1)
    apart = rng.normal(0.3, 1, 30)
    assert signed_rank_p(apart) == pytest.approx(stats.wilcoxon(apart, method="exact").pvalue)
    tied = np.array([0, 0.1, 0.1, -0.1, 0.3, 0.3, -0.2, 0.5])
    every_sign = stats.PermutationMethod(n_resamples=np.inf)
    assert signed_rank_p(tied) == pytest.approx(stats.wilcoxon(tied, zero_method="pratt", method=every_sign).pvalue)


def test_many_patients_are_tested_by_the_normal_distribution():
    """Beside the sizes that are exact, it changes little."""
    rng = np.random.default_rng(4)
    differences = np.round(rng.normal(0.05, 1, 500), 2)
    expected = signed_rank_p(differences), *mean_interval(differences), p_of_mean_above(differences, 0.0)
    more = np.append(differences, 0.05)
    found = signed_rank_p(more), *mean_interval(more), p_of_mean_above(more, 0.0)
    assert found == pytest.approx(expected, abs=0.01)
    assert signed_rank_p(np.zeros(501)) == 1
    many = rng.normal(0.01, 1, 20_000)
    assert signed_rank_p(many) == pytest.approx(stats.wilcoxon(many, method="asymptotic").pvalue)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])


def test_too_few_or_equal_values_have_no_interval():
    assert mean_interval(np.array([0.2])) == mean_interval(np.full(9, 0.1)) == (None, None)
    assert mean_interval(np.array([0.1, 0.2, 0.3])) == (None, None)  # a ninth of the resamples are all equal
    assert p_of_mean_above(np.full(9, 0.1), 0.0) is None


def rates(sample_differences, bound: float, trials: int = 1000) -> tuple[float, float, float]:
    """Return the rates of intervals that cover `bound`, of means shown above it, and of significant signed ranks."""
    samples = [sample_differences() for _ in range(trials)]
    intervals = [mean_interval(sample) for sample in samples]
    return tuple(
        np.mean(found)
        for found in (
            [low <= bound <= high for low, high in intervals],
            [p_of_mean_above(sample, bound) < 0.05 for sample in samples],
            [signed_rank_p(sample) < 0.05 for sample in samples],
        )
    )


def test_error_rates_where_there_is_no_effect(few_resamples):
    rng = np.random.default_rng(2)
    covered, claimed, differs = rates(lambda: rng.normal(size=20), bound=0)
    assert (covered, claimed, differs) == pytest.approx((0.95, 0.05, 0.05), abs=0.02)


def test_a_few_failures_do_not_cause_false_positives(few_resamples):
    """Left-skewed differences with a mean exactly at the margin: the t test gives too many false positives."""
    rng = np.random.default_rng(3)
    covered, claimed, _ = rates(lambda: 1 - rng.exponential(size=20), bound=0)
    t_tests = stats.ttest_1samp(1 - rng.exponential(size=(20, 1000)), 0, alternative="greater").pvalue
    assert covered == pytest.approx(0.95, abs=0.02)
    assert claimed < np.mean(t_tests < 0.05) - 0.02


def test_power_where_there_is_an_effect(few_resamples):
    """Compare with t tests, which are optimal for normal differences; signed ranks are nearly as powerful."""
    rng = np.random.default_rng(4)
    count, effect, noncentrality = 20, 0.5, 0.5 * 20**0.5
    one_sided = stats.nct.sf(stats.t.ppf(0.95, count - 1), count - 1, noncentrality)
    two_sided = stats.nct.sf(stats.t.ppf(0.975, count - 1), count - 1, noncentrality)
    covered, claimed, _ = rates(lambda: rng.normal(effect, size=count), bound=0)
    differs = np.mean([signed_rank_p(rng.normal(effect, size=count)) < 0.05 for _ in range(1000)])
    assert 1 - covered == pytest.approx(two_sided, abs=0.05)
    assert claimed == pytest.approx(one_sided, abs=0.05)
    assert differs == pytest.approx(two_sided, abs=0.05)


def values_of(measure: str, **classes: list) -> dict:
    """Return values of one measure of each class in the cases a, b, ...; other measures have none."""
    return {
        (name, some): dict(zip("abcdefgh", values)) if some == measure else {}
        for name, values in classes.items()
        for some in paired_tests.MEASURES
    }


def test_only_cases_of_both_runs_are_compared():
    own, other = values_of("asd_mm", x=[1.0, 2, None, 4]), values_of("asd_mm", x=[0.5, 1, 7, None], y=[1.0] * 4)
    (row,) = compare(own, {"other": other}, 0.005)
    assert (row["against"], row["class"], row["measure"], row["cases"]) == ("other", "x", "asd_mm", 2)
    assert (row["mean"], row["against_mean"], row["difference"]) == (1.5, 0.75, 0.75)
    assert "p_non_inferior" not in row


def test_cases_of_a_patient_are_averaged_before_tests():
    """Six cases of three patients, one without a value, give the same as three cases with the patients' means."""
    patients = {"a": "p", "b": "p", "c": "q", "d": "q", "e": "r", "f": "r"}
    own, other = (
        values_of("dice", x=[0.9, 0.7, 0.8, 0.6, 0.9, None]),
        values_of("dice", x=[0.5, 0.5, 0.5, 0.5, 0.6, 0.1]),
    )
    (row,) = compare(own, {"other": other}, 0.005, patients)
    (alone,) = compare(values_of("dice", x=[0.8, 0.7, 0.9]), {"other": values_of("dice", x=[0.5, 0.5, 0.6])}, 0.005)
    assert (row["cases"], row["patients"]) == (5, 3)
    assert row == pytest.approx({**alone, "cases": 5}, nan_ok=True)
    assert row["p_wilcoxon"] == 2 / 8


def test_the_mean_over_classes_is_per_case():
    own = with_mean(values_of("dice", x=[0.8, 0.6, 1.0], y=[0.4, None, 0.6]), ["x", "y"])
    assert own[MEAN, "dice"] == pytest.approx({"a": 0.6, "b": None, "c": 0.8})
    only = values_of("dice", x=[0.8])
    assert with_mean(only, ["x"]) is only


def test_a_family_is_all_tests_of_one_measure():
    rng = np.random.default_rng(5)
    runs = []
    for _ in range(3):
        dice, ece = (
            values_of("dice", x=rng.normal(size=8), y=rng.normal(size=8)),
            values_of("ece", x=rng.normal(size=8)),
        )
        runs.append({key: dice[key] or ece.get(key, {}) for key in dice})
    rows = compare(runs[0], {"one": runs[1], "two": runs[2]}, 0.1)
    for measure, tests in (("dice", 4), ("ece", 2)):
        family = [row for row in rows if row["measure"] == measure]
        assert len(family) == tests
        assert [row["p_holm"] for row in family] == holm([row["p_wilcoxon"] for row in family])


def test_non_inferiority_depends_on_the_margin():
    steps = 0.001 * np.arange(-4, 4)
    own, other = values_of("dice", x=0.85 + 2 * steps), values_of("dice", x=0.853 + steps)
    p = {margin: compare(own, {"other": other}, margin)[0]["p_non_inferior"] for margin in (0.001, 0.0035, 0.03)}
    assert p[0.001] > 0.9  # the mean difference is -0.0035
    assert p[0.0035] == pytest.approx(0.5, abs=0.1)
    assert p[0.03] < 0.001


def test_the_share_kept_by_hand():
    single = np.linspace(0.7, 0.9, 10)
    share, low, high = share_kept(single, single + 0.02, single + 0.015)
    assert (share, low, high) == pytest.approx((0.75, 0.75, 0.75))
    assert share_kept(single, single - 0.01, single) == (None, None, None)
    doubtful = single + np.where(np.arange(10) % 2, 0.1, -0.09)
    assert share_kept(single, doubtful, single) == (0, None, None)


def test_the_interval_of_the_share_covers_it(few_resamples):
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(500):
        single = rng.normal(size=30)
        ensemble, student = (single + rng.normal(gain, 0.02, 30) for gain in (0.04, 0.02))
        _, low, high = share_kept(single, ensemble, student)
        covered += low <= 0.5 <= high
    assert covered / 500 == pytest.approx(0.95, abs=0.03)
