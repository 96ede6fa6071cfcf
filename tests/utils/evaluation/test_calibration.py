"""Calibration of a few voxels by hand, and compared with independent implementations."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.distance import cdist
from scipy.stats import binned_statistic

from utils.evaluation.calibration import brier_score, expected_calibration_error, foreground_margin


def forecast(*probabilities):
    return np.array(probabilities, np.float32)


def observed(*outcomes):
    return np.array(outcomes, bool)


def test_frequencies_equal_to_probabilities_are_calibrated():
    assert expected_calibration_error(forecast(0.25, 0.25, 0.25, 0.25, 1, 0), observed(1, 0, 0, 0, 1, 0)) == 0


def test_calibration_error_by_hand():
    """Two voxels have probability 0.75 and frequency 0.5, the other two probability 0.25 and frequency 0."""
    assert expected_calibration_error(forecast(0.75, 0.75, 0.25, 0.25), observed(1, 0, 0, 0)) == 0.5 * 0.25 + 0.5 * 0.25


def test_a_bin_includes_its_upper_edge():
    """0.4 is the upper edge of the sixth of 15 bins: errors cancel with 0.38 (same bin) and add up with 0.42."""
    assert expected_calibration_error(forecast(0.4, 0.38), observed(1, 0)) == pytest.approx((0.6 - 0.38) / 2)
    assert expected_calibration_error(forecast(0.4, 0.42), observed(1, 0)) == pytest.approx((0.6 + 0.42) / 2)


def test_brier_score_by_hand():
    assert brier_score(forecast(0.75, 0.5, 0, 1), observed(1, 0, 0, 0)) == (0.25**2 + 0.5**2 + 0 + 1) / 4


def test_scores_without_voxels_are_none():
    assert expected_calibration_error(forecast(), observed()) is None
    assert brier_score(forecast(), observed()) is None


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
    """Reliability - resolution + uncertainty (Murphy, 1973), over the values of the forecasts."""
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
    """Return the foreground with its margin in the whole volume."""
    box, near = foreground_margin(foreground, spacing_mm)
    volume = np.zeros(foreground.shape, bool)
    volume[box] = near
    return volume


def test_the_foreground_margin_is_5_mm_along_each_axis():
    """Voxels of 2.5, 1.7 and 5.1 mm around one foreground voxel: 2, 2 and 0 voxels away."""
    foreground = np.zeros((9, 9, 9), bool)
    foreground[4, 4, 4] = True
    near = whole(foreground, (2.5, 1.7, 5.1))
    assert np.flatnonzero(near[:, 4, 4]).tolist() == [2, 3, 4, 5, 6]
    assert np.flatnonzero(near[4, :, 4]).tolist() == [2, 3, 4, 5, 6]
    assert np.flatnonzero(near[4, 4]).tolist() == [4]


def test_an_empty_foreground_has_no_margin():
    box, near = foreground_margin(np.zeros((3, 4, 5), bool), (1.0, 1.0, 1.0))
    assert near.size == np.zeros((3, 4, 5))[box].size == 0


@pytest.mark.parametrize("spacing_mm", [(2.6, 1.4, 0.9), (7.0, 3.1, 2.2)])
def test_the_foreground_margin_against_all_distances_and_a_distance_map(spacing_mm):
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
