"""Claims on values with results known by hand."""

import pytest

from studies.claims import Claim, decide_claims, median_run

CASES = [f"case_{number}" for number in range(10)]


def values(base: float, step: float = 0.0):
    """Return the Dice of two classes in ten cases, increasing by `step` from case to case."""
    dices = {case: base + step * number for number, case in enumerate(CASES)}
    return {(region, "dice"): dices for region in ("1", "2", "mean")}


GROUPS = {"low": values(0.80), "high": values(0.81, 0.001), "alike": values(0.80045, -0.0001)}


def test_better_is_decided_by_wilcoxon_and_holm():
    claims = [Claim("high", "low", 0.01), Claim("low", "high", 0.01), Claim("alike", "low", 0.05)]
    better, worse, unsure = decide_claims(claims, GROUPS.get)
    assert better["difference"] == pytest.approx(0.0145)
    assert better["p"] == pytest.approx(2 / 2**10)  # all ten differences are positive
    assert better["p_holm"] == pytest.approx(3 * 2 / 2**10)
    assert better["met"]
    assert worse["p"] == better["p"] and not worse["met"]  # as significant, but in the wrong direction
    assert unsure["p"] > 0.05 and not unsure["met"]


def test_a_small_loss_in_most_cases_and_a_large_gain_in_a_few_is_not_better():
    cases = [f"case_{number}" for number in range(30)]
    mostly_lower = {("mean", "dice"): {case: 0.8 if case in cases[:2] else 0.79 for case in cases}}
    failing = {("mean", "dice"): {case: 0.3 if case in cases[:2] else 0.8 for case in cases}}
    (row,) = decide_claims([Claim("a", "b", 0.05)], {"a": mostly_lower, "b": failing}.get)
    assert row["p"] < 0.001 and row["difference"] > 0 > row["low"]
    assert not row["met"]


def test_a_claim_can_fail_by_the_correction():
    claim = Claim("high", "low", 0.003)
    assert decide_claims([claim], GROUPS.get)[0]["met"]
    assert not decide_claims([claim, Claim("alike", "low", 0.05)], GROUPS.get)[0]["met"]


def test_non_inferiority_depends_on_the_margin_and_is_a_family_of_its_own():
    claims = [Claim("alike", "low", 0.05, 0.005), Claim("alike", "high", 0.05, 0.005), Claim("high", "low", 0.05)]
    alike, inferior, _ = decide_claims(claims, GROUPS.get)
    assert alike["met"] and alike["p_holm"] == pytest.approx(2 * alike["p"])
    assert inferior["p"] > 0.5 and not inferior["met"]
    assert alike["claim"] == "alike: not inferior to low by 0.005"


@pytest.mark.parametrize(("dices", "expected"), [((0.7, 0.9, 0.8), 0.8), ((0.7, 0.9, 0.8, 0.6), 0.8)])
def test_the_median_run_is_of_its_group_and_split_only(dices, expected):
    rows = [{"group": "g", "split": "test", "run": str(dice), "mean_dice": str(dice)} for dice in dices]
    rows += [{"group": "g", "split": "val", "run": "x", "mean_dice": "0.1"}]
    rows += [{"group": "h", "split": "test", "run": "y", "mean_dice": "0.1"}]
    assert median_run(rows, "g", "test") == str(expected)
