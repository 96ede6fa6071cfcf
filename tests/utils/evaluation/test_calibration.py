"""Calibration by hand on a few voxels, and against other computations of the same."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.distance import cdist
from scipy.stats import binned_statistic

from utils.evaluation.calibration import brier_score, expected_calibration_error, surroundings


def said(*probabilities):
    return np.array(probabilities, np.float32)


def was(*outcomes):
    return np.array(outcomes, bool)


def test_what_comes_as_often_as_it_was_said_is_calibrated():
    assert expected_calibration_error(said(0.25, 0.25, 0.25, 0.25, 1, 0), was(1, 0, 0, 0, 1, 0)) == 0


def test_calibration_error_by_hand():
    """Half of the voxels are said to be 0.75 and are so half of the time, the others are said to be 0.25 and never."""
    assert expected_calibration_error(said(0.75, 0.75, 0.25, 0.25), was(1, 0, 0, 0)) == 0.5 * 0.25 + 0.5 * 0.25


def test_a_bin_ends_with_its_upper_edge():
    """0.4 is the edge of the sixth of 15 bins: with 0.38 below it errors cancel, with 0.42 above it they add up."""
    assert expected_calibration_error(said(0.4, 0.38), was(1, 0)) == pytest.approx((0.6 - 0.38) / 2)
    assert expected_calibration_error(said(0.4, 0.42), was(1, 0)) == pytest.approx((0.6 + 0.42) / 2)


def test_brier_score_by_hand():
    assert brier_score(said(0.75, 0.5, 0, 1), was(1, 0, 0, 0)) == (0.25**2 + 0.5**2 + 0 + 1) / 4


def test_scores_of_no_voxels_do_not_exist():
    assert expected_calibration_error(said(), was()) is None
    assert brier_score(said(), was()) is None


def test_calibration_error_against_binned_means():
    rng = np.random.default_rng(0)
    probability = rng.beta(0.5, 0.8, 5000).astype(np.float32)
    outcome = rng.random(5000) < probability**2
    settings = {"bins": 15, "range": (0, 1)}
    count = binned_statistic(probability, outcome, "count", **settings).statistic
    confidence = binned_statistic(probability, probability, "mean", **settings).statistic
    accuracy = binned_statistic(probability, outcome, "mean", **settings).statistic
    expected = (count * np.abs(accuracy - confidence)).sum() / 5000
    assert expected > 0.1
    assert expected_calibration_error(probability, outcome) == pytest.approx(expected, rel=1e-5)


def test_brier_score_against_its_decomposition():
    """Reliability - resolution + uncertainty (Murphy, 1973), over the values that forecasts take."""
    rng = np.random.default_rng(1)
    forecasts = np.array([0.125, 0.5, 0.875])
    probability = rng.choice(forecasts, 3000)
    outcome = rng.random(3000) < probability**2
    share = np.array([(probability == value).mean() for value in forecasts])
    rate = np.array([outcome[probability == value].mean() for value in forecasts])
    base = outcome.mean()
    expected = (share * (forecasts - rate) ** 2).sum() - (share * (rate - base) ** 2).sum() + base * (1 - base)
    assert brier_score(probability, outcome) == pytest.approx(expected)


def whole(foreground, spacing_mm):
    """The surroundings in the whole volume."""
    box, near = surroundings(foreground, spacing_mm)
    volume = np.zeros(foreground.shape, bool)
    volume[box] = near
    return volume


def test_surroundings_reach_5_mm_along_each_axis():
    """Around one voxel, with voxels of 2.5, 1.7 and 5.1 mm: 2, 2 and no voxels away."""
    foreground = np.zeros((9, 9, 9), bool)
    foreground[4, 4, 4] = True
    near = whole(foreground, (2.5, 1.7, 5.1))
    assert np.flatnonzero(near[:, 4, 4]).tolist() == [2, 3, 4, 5, 6]
    assert np.flatnonzero(near[4, :, 4]).tolist() == [2, 3, 4, 5, 6]
    assert np.flatnonzero(near[4, 4]).tolist() == [4]


def test_an_empty_foreground_has_no_surroundings():
    box, near = surroundings(np.zeros((3, 4, 5), bool), (1.0, 1.0, 1.0))
    assert near.size == np.zeros((3, 4, 5))[box].size == 0


@pytest.mark.parametrize("spacing_mm", [(2.6, 1.4, 0.9), (7.0, 3.1, 2.2)])
def test_surroundings_against_all_distances_and_a_distance_map(spacing_mm):
    rng = np.random.default_rng(2)
    foreground = np.zeros((11, 16, 19), bool)
    foreground[tuple(rng.integers(0, foreground.shape, (6, 3)).T)] = True
    foreground[0, :2, 0] = True  # at the border too
    centres = np.argwhere(np.ones_like(foreground)) * spacing_mm
    nearest = cdist(centres, centres[foreground.ravel()]).min(axis=1)
    near = whole(foreground, spacing_mm)
    np.testing.assert_array_equal(near, (nearest <= 5).reshape(foreground.shape))
    image = sitk.GetImageFromArray(foreground.astype(np.uint8))
    image.SetSpacing(spacing_mm[::-1])
    distances = sitk.DanielssonDistanceMap(image, inputIsBinary=True, squaredDistance=False, useImageSpacing=True)
    np.testing.assert_array_equal(near, sitk.GetArrayFromImage(distances) <= 5)
