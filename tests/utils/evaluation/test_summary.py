import pytest

from utils.evaluation.summary import summarise


def test_summary_by_hand():
    summary = summarise({"a": 0.9, "b": 0.5, "c": None, "d": 0.7, "e": 0.7}, higher_is_better=True)
    assert (summary.count, summary.worst_case, summary.worst) == (4, "b", 0.5)
    assert summary.mean == pytest.approx(0.7)
    assert summary.median == pytest.approx(0.7)
    assert summary.deviation == pytest.approx((0.08 / 3) ** 0.5)


def test_the_worst_distance_is_the_largest():
    assert summarise({"a": 1.0, "b": 4.0}, higher_is_better=False).worst_case == "b"


def test_no_summary_without_values_and_no_deviation_of_one_value():
    assert summarise({"a": None}, higher_is_better=True) is None
    assert summarise({"a": 0.5}, higher_is_better=True).deviation == 0
