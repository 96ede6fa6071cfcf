import numpy as np
import pytest
from scipy.special import softmax

from utils.ensembling.leave_one_out import leave_one_out
from utils.evaluation.metrics import dice


def test_rows_equal_explicit_leave_one_out(monkeypatch):
    monkeypatch.setattr("utils.ensembling.leave_one_out._VOXELS_PER_BLOCK", 60)  # two slices
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 3, (5, 5, 6))
    probabilities = {name: softmax(rng.normal(size=(3, 5, 5, 6)) * 2, axis=0).astype(np.float32) for name in "abc"}
    for values in probabilities.values():  # all members predict background here
        values[:, 2:4] = np.array([0.8, 0.1, 0.1])[:, None, None, None]
    reference[3] = 0
    weights = {"a": 1.0, "b": 2.0, "c": 0.5}
    mean = sum(weights[name] * values for name, values in probabilities.items()) / 3.5
    rows = leave_one_out(probabilities, weights, mean, reference, ("0", "1", "2"))
    assert [(row["member"], row["class"]) for row in rows] == [(name, label) for name in "abc" for label in "12"]
    for row in rows:
        index, name = int(row["class"]), row["member"]
        others = [other for other in "abc" if other != name]
        without = sum(weights[other] * probabilities[other] for other in others).argmax(axis=0)
        own = probabilities[name].argmax(axis=0)
        assert row["dice"] == pytest.approx(dice(own == index, reference == index))
        assert row["ensemble_dice"] == pytest.approx(dice(mean.argmax(axis=0) == index, reference == index))
        assert row["dice_without"] == pytest.approx(dice(without == index, reference == index))
        for other in "abc":
            between = dice(own == index, probabilities[other].argmax(axis=0) == index)
            assert row[f"disagreement {other}"] == pytest.approx(1 - between)


def test_dice_without_the_only_member_is_none():
    only = {"a": softmax(np.random.default_rng(0).normal(size=(2, 2, 2, 2)), axis=0)}
    (row,) = leave_one_out(only, {"a": 1.0}, only["a"], np.zeros((2, 2, 2), int), ("0", "1"))
    assert row["dice_without"] is None
    assert row["disagreement a"] == 0
