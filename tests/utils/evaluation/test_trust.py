"""Predicted Dice: raw estimates, calibration by patient, lower bound, and how good they are."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import binom, spearmanr

from base.dice_calibration import DiceCalibration, DiceLine
from base.errors import InputError
from base.label_classes import MEAN, parse_classes
from base.regions import parse_regions, regions_of
from utils.ensembling.agreement import MemberAgreement
from utils.evaluation.annotation_order import annotation_order
from utils.evaluation.dice_estimates import agreement_of_uncertainty, estimate_dice, expected_dice
from utils.evaluation.dice_prediction import conformal_margin, fit_line, fit_without_each
from utils.evaluation.metrics import dice
from utils.evaluation.trust_quality import Coverage, RiskCoverage, spearman

REGIONS = regions_of(parse_classes("0,1,2"), parse_regions("1+2"))


def test_expected_dice_is_the_mean_over_references_drawn_from_the_probabilities():
    rng = np.random.default_rng(0)
    probability = rng.beta(0.5, 0.5, (10, 20, 20))
    prediction = probability > 0.5
    drawn = [dice(prediction, rng.random(probability.shape) < probability) for _ in range(50)]
    assert expected_dice(probability, prediction) == pytest.approx(np.mean(drawn), abs=0.01)


def test_expected_dice_of_an_empty_prediction_is_the_probability_of_an_empty_reference():
    probability = np.zeros((2, 2, 2))
    nothing = np.zeros((2, 2, 2), bool)
    assert expected_dice(probability, nothing) == 1
    probability[0] = 0.3
    assert expected_dice(probability, nothing) == pytest.approx(0.7)


def probabilities_of(labels):
    return np.stack([(labels == index).astype(np.float32) for index in range(3)])


def test_agreement_is_the_mean_dice_of_each_two_members():
    rng = np.random.default_rng(0)
    members = [rng.integers(0, 3, (4, 6, 6)) for _ in range(3)]
    members[1][2:] = 0
    members.append(np.zeros((4, 6, 6), int))
    agreement = MemberAgreement()
    for labels in members:
        agreement.add(probabilities_of(labels))
    pairs = [(one, other) for place, one in enumerate(members) for other in members[:place]]
    expected = [
        np.mean([dice(np.isin(one, r.labels), np.isin(other, r.labels)) for one, other in pairs]) for r in REGIONS
    ]
    assert agreement.pairwise_dice(REGIONS) == pytest.approx(expected)


def test_agreement_needs_two_members_and_empty_ones_agree():
    agreement = MemberAgreement()
    agreement.add(probabilities_of(np.zeros((2, 2, 2))))
    assert agreement.pairwise_dice(REGIONS) is None
    agreement.add(probabilities_of(np.zeros((2, 2, 2))))
    assert agreement.pairwise_dice(REGIONS) == [1, 1, 1]


def test_a_network_that_is_sure_of_its_border_agrees_with_itself():
    probability = np.array([0.9, 0.6, 0.4, 0.1], np.float32).reshape(1, 1, 4)
    probabilities = np.stack([1 - probability, probability])
    regions = regions_of(parse_classes("0,1"))
    assert agreement_of_uncertainty(probabilities, np.full((1, 1, 4), 0.05), regions) == [1]
    # cautious: the first voxel; generous: the first three
    assert agreement_of_uncertainty(probabilities, np.full((1, 1, 4), 0.2), regions) == [2 / (1 + 3)]


def test_the_mean_over_several_classes_is_estimated_too():
    estimates = estimate_dice(probabilities_of(np.arange(8).reshape(2, 2, 2) % 3), REGIONS, [0.5, 0.7, 0.9])
    assert list(estimates) == ["1", "2", "1+2", MEAN]
    assert estimates[MEAN].agreement == pytest.approx(0.6)
    assert estimates[MEAN].expected_dice == pytest.approx(1)


def test_each_patient_counts_once_in_the_line():
    """Compare with a weighted least-squares fit by numpy."""
    rng = np.random.default_rng(0)
    estimates = {f"{n}": float(x) for n, x in enumerate(rng.uniform(0.5, 1, 12))}
    dices = {case: 0.7 * x + 0.1 + float(rng.normal(0, 0.03)) for case, x in estimates.items()}
    patients = {"0": "a", "1": "a", "2": "a", "3": "b", "4": "b"}
    line = fit_line(estimates, dices, patients)
    weights = np.array([1 / 3] * 3 + [1 / 2] * 2 + [1] * 7)
    slope, intercept = np.polyfit(list(estimates.values()), list(dices.values()), 1, w=np.sqrt(weights))
    assert (line.slope, line.intercept, line.patients) == (pytest.approx(slope), pytest.approx(intercept), 9)


def test_the_line_of_few_patients_is_shifted_only_and_never_falls():
    few = {"a": 0.5, "b": 0.9}
    assert fit_line(few, {"a": 0.6, "b": 0.6}, {}).slope == 1
    assert fit_line(few, {"a": 0.6, "b": 0.6}, {}).intercept == pytest.approx(-0.1)
    falling = {f"{n}": n / 10 for n in range(8)}
    line = fit_line(falling, {case: 1 - x for case, x in falling.items()}, {})
    assert (line.slope, line.predict(0.2)) == (0, pytest.approx(0.65))


@pytest.mark.parametrize("count", [5, 7, 10, 13])
def test_equal_estimates_give_a_level_line(count):
    line = fit_line({f"{n}": 0.9 for n in range(count)}, {f"{n}": n / count for n in range(count)}, {})
    assert line.slope == 0
    assert line.predict(0.5) == pytest.approx((count - 1) / 2 / count)


@pytest.mark.parametrize(("patients", "rank"), [(8, None), (9, 9), (18, 18), (19, 18), (99, 90)])
def test_the_margin_is_the_score_of_the_conformal_rank(patients, rank):
    scores = list(np.random.default_rng(0).permutation(patients) + 1.0)
    assert conformal_margin(scores) == rank


def test_the_bound_holds_for_nine_of_ten_new_patients():
    """Patients have two cases each, one of them hard; the bound holds in both with a probability of 90% to 95%."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1500):
        dices = rng.beta(8, 2, (20, 2))
        estimates = np.clip(dices + rng.normal(0.05, 0.1, (20, 2)), 0, 1)
        names = [[f"{p}{c}" for c in "ab"] for p in range(20)]
        patients = {name: name[:-1] for some in names for name in some}
        table = [{names[p][c]: float(some[p, c]) for p in range(19) for c in (0, 1)} for some in (estimates, dices)]
        line = fit_line(*table, patients)
        held += all(dices[19, c] >= line.bound(estimates[19, c]) for c in (0, 1))
    assert binom.cdf(held, 1500, 0.9) > 0.001
    assert held / 1500 < 0.96


def test_validation_patients_are_predicted_without_their_own_cases():
    estimates = {"a1": 0.5, "a2": 0.6, "b": 0.7, "c": 0.8}
    dices = {"a1": 0.0, "a2": 0.0, "b": 0.6, "c": 0.7}
    lines = fit_without_each(estimates, dices, {"a1": "a", "a2": "a"})
    assert lines["a1"].predict(0.5) == pytest.approx(0.4)
    assert lines["b"].patients == 2
    assert fit_without_each({"a1": 0.5}, {"a1": 0.5}, {}) == {}


def test_the_area_under_the_risk_coverage_curve_against_all_orders():
    dices = [0.9, 0.4, 0.7, 0.2]

    def area(order):
        return np.mean([np.mean([1 - dices[n] for n in order[:count]]) for count in range(1, 5)])

    areas = [area(order) for order in permutations(range(4))]
    curve = RiskCoverage.of([4, 3, 2, 1], dices)
    assert curve.aurc == pytest.approx(area(range(4)))
    assert curve.aurc_best == pytest.approx(min(areas))
    assert curve.aurc_random == pytest.approx(np.mean(areas))
    tied = RiskCoverage.of([1, 1, 1, 1], dices)
    assert tied.aurc == pytest.approx(tied.aurc_random)


def test_rank_correlation_and_coverage_agree_with_scipy():
    rng = np.random.default_rng(0)
    scores, dices = rng.normal(size=20), rng.normal(size=20)
    assert spearman(scores, dices) == pytest.approx(spearmanr(scores, dices).statistic)
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    bounds = {f"{n}": 0.5 for n in range(20)}
    coverage = Coverage.of(bounds, {case: 0.4 if case in "01" else 0.6 for case in bounds}, {"0": "x", "1": "x"})
    assert (coverage.patients, coverage.share) == (19, 18 / 19)
    assert binom.sf(17, 19, coverage.low) == pytest.approx(0.025)
    assert binom.cdf(18, 19, coverage.high) == pytest.approx(0.025)


def test_near_duplicates_do_not_follow_each_other():
    """Cases a and b look alike, c and d are of one patient: one of each pair waits for the second round."""
    features = {"a": [0.0], "b": [0.01], "c": [5.0], "d": [9.0], "e": [14.0]}
    doubts = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6, "e": 0.1}
    order = annotation_order(doubts, features, {"c": "x", "d": "x"})
    assert list(order.items()) == [("a", 1), ("c", 1), ("e", 1), ("b", 2), ("d", 2)]
    assert annotation_order({"a": 0.5}, {"a": [1.0]}, {}) == {"a": 1}


def test_a_calibration_is_read_as_it_was_written(tmp_path):
    line = DiceLine(0.1, 0.8, None, 3)
    cases, kept = {"case": {"image": "1"}}, {"1": 1, "2": 0}
    calibration = DiceCalibration("agreement", {"1": line}, {"one": "ab"}, None, cases, views=4, keep_largest=kept)
    calibration.write(tmp_path / "trust.json")
    assert DiceCalibration.read(tmp_path / "trust.json") == calibration
    assert DiceCalibration.read(tmp_path / "none.json") is None
    assert calibration.suits({"one": "ab"})
    assert not calibration.suits({"one": "ac"})
    assert calibration.note_with(None, 4, {"2": 0, "1": 1}) is None
    assert "that are not clipped" in calibration.note_with("organ", 4, kept)
    assert "--views" in calibration.note_with(None, 1, kept)
    assert "components" in calibration.note_with(None, 4, {"1": 1, "2": 1})
    assert replace(calibration, keep_largest={"1": 0, "2": 0}).note_with(None, 4, 0) is None
    earlier = {key: value for key, value in calibration.to_json().items() if key not in ("views", "keep_largest")}
    before = DiceCalibration.from_json(earlier)
    assert before.note_with(None, 4, kept)
    assert DiceCalibration.from_json(before.to_json()) == before
    (tmp_path / "trust.json").write_text('{"estimator": "luck"}')
    with pytest.raises(InputError, match="luck is not one of agreement, expected_dice"):
        DiceCalibration.read(tmp_path / "trust.json")


def test_the_bound_is_never_above_the_prediction():
    line = DiceLine(0.0, 0.5, 0.1, 20)
    assert (line.predict(0.8), line.bound(0.8)) == (0.4, 0.4)
    assert line.bound(0.05) == 0
    assert DiceLine(0.0, 1.0, None, 8).bound(0.8) is None
