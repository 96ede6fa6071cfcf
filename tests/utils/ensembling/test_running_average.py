import numpy as np
import pytest
from scipy.special import softmax

from utils.ensembling.running_average import EnsembleAverage, RunningMoments, soften


@pytest.fixture
def members():
    """Return probabilities of five members, float32 (classes, z, y, x)."""
    logits = np.random.default_rng(0).normal(0, 3, (5, 3, 4, 5, 6))
    return softmax(logits, axis=1).astype(np.float32)


def test_moments_in_one_pass(members):
    moments = RunningMoments()
    for member in members:
        moments.add(member)
    np.testing.assert_allclose(moments.mean, members.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(moments.deviation(), members.std(axis=0), atol=1e-6)


def test_moments_with_integer_weights_equal_those_of_repeated_members(members):
    moments, counts = RunningMoments(), [1, 3, 2, 1, 1]
    for member, weight in zip(members, counts):
        moments.add(member, weight)
    repeated = np.repeat(members, counts, axis=0)
    np.testing.assert_allclose(moments.mean, repeated.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(moments.deviation(), repeated.std(axis=0), atol=1e-6)


def test_one_member_has_no_deviation_and_is_not_modified(members):
    moments, before = RunningMoments(), members[0].copy()
    moments.add(members[0])
    moments.mean[:] = 0
    np.testing.assert_array_equal(members[0], before)
    assert (moments.deviation() == 0).all()


def test_a_very_low_temperature_gives_the_largest_probability_alone():
    probabilities = np.float32([[0.3, 0.4], [0.5, 0.25], [0.2, 0.35]])[:, None, None]
    np.testing.assert_allclose(soften(probabilities, 0.005)[:, 0, 0], [[0, 1], [1, 0], [0, 0]], atol=1e-6)


def test_soften_is_the_softmax_of_logits_over_the_temperature():
    logits = np.random.default_rng(1).normal(0, 3, (3, 50))
    for temperature in (1.0, 2.0, 4.0):
        expected = softmax(logits / temperature, axis=0)
        np.testing.assert_allclose(soften(softmax(logits, axis=0), temperature), expected, rtol=1e-6)


def test_a_temperature_softens_only_the_soft_labels(members):
    average = EnsembleAverage(2.0)
    for member in members:
        average.add(member, 1.0)
    np.testing.assert_allclose(average.mean, members.mean(axis=0), atol=1e-6)
    softened = np.array([soften(member, 2.0) for member in members])
    np.testing.assert_allclose(average.soft.mean, softened.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(average.uncertainty_maps()["deviation"], softened.std(axis=0).max(axis=0), atol=1e-6)
