import numpy as np
import pytest

from utils.evaluation.error_ranking import BAND_MM, ErrorRanking, boundary_band


def whole_band(labels, spacing_mm):
    """Return the boundary band in the whole volume."""
    box, band = boundary_band(labels, spacing_mm)
    whole = np.zeros(labels.shape, bool)
    whole[box] = band
    return whole


def test_the_boundary_band_by_brute_force():
    rng = np.random.default_rng(1)
    labels = np.zeros((6, 9, 10), np.uint8)
    labels[2:4, 3:6, 3:7] = 1
    labels[3, 4, 4] = 2
    spacing = (3.0, 2.0, 1.0)
    band = whole_band(labels, spacing)
    edges = [
        place
        for place in np.ndindex(labels.shape)
        for axis in range(3)
        for step in (-1, 1)
        if 0 <= place[axis] + step < labels.shape[axis]
        and labels[tuple(np.add(place, step * np.eye(3, dtype=int)[axis]))] != labels[place]
    ]
    for place in rng.integers((6, 9, 10), size=(100, 3)):
        nearest = np.sqrt(((np.subtract(edges, place) * spacing) ** 2).sum(axis=1)).min()
        assert band[tuple(place)] == (nearest <= BAND_MM)
    assert not whole_band(np.ones((3, 3, 3)), spacing).any()
    assert not whole_band(np.zeros((3, 3, 3)), spacing).any()


def test_voxels_at_the_end_of_the_band_belong_to_it_whatever_the_rounding_of_spacings():
    labels = np.zeros((1, 1, 120), np.uint8)
    labels[..., 60:] = 1
    band = whole_band(labels, (1.0, 1.0, float(np.float32(0.1))))  # 50 voxels are 5.00000007 mm
    assert np.flatnonzero(band)[[0, -1]].tolist() == [59 - 50, 60 + 50]


def test_ranking_is_the_probability_that_an_error_is_more_uncertain():
    rng = np.random.default_rng(2)
    reference = np.zeros((5, 8, 8), np.uint8)
    reference[1:4, 2:6, 2:6] = 1
    prediction = np.where(rng.random(reference.shape) < 0.2, 1 - reference, reference)
    uncertainty = np.round(rng.random(reference.shape) + 0.3 * (prediction != reference), 1)
    band = whole_band(reference, (3.0, 1.0, 1.0))
    wrong = uncertainty[band & (prediction != reference)]
    right = uncertainty[band & (prediction == reference)]
    pairs = [(w > r) + 0.5 * (w == r) for w in wrong for r in right]
    area = ErrorRanking(prediction, reference, (3.0, 1.0, 1.0)).area(uncertainty)
    assert area == pytest.approx(np.mean(pairs))
    assert 0.6 < area < 0.95


def test_ranking_without_errors_is_none():
    reference = np.zeros((3, 4, 4), np.uint8)
    reference[1, 1, 1] = 1
    assert ErrorRanking(reference, reference, (1.0, 1.0, 1.0)).area(np.zeros(reference.shape)) is None
