import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy as scipy_entropy

from utils.ensembling.entropy import RunningEntropy, entropy


@pytest.fixture
def members():
    """Return probabilities of four members, float32 (classes, z, y, x)."""
    return softmax(np.random.default_rng(0).normal(0, 3, (4, 3, 3, 4, 5)), axis=1).astype(np.float32)


def test_entropy_equals_scipy(members):
    np.testing.assert_allclose(entropy(members[0]), scipy_entropy(members[0], axis=0), atol=1e-6)
    assert (entropy(np.eye(3, dtype=np.float32)) == 0).all()


def test_mutual_information_by_its_definition(members):
    running, weights = RunningEntropy(), [1, 2, 3, 4]
    for member, weight in zip(members, weights):
        running.add(member, weight)
    mean = np.average(members, axis=0, weights=weights)
    expected = scipy_entropy(mean, axis=0) - np.average(scipy_entropy(members, axis=1), axis=0, weights=weights)
    np.testing.assert_allclose(running.mutual_information(entropy(mean)), expected, atol=1e-5)


def test_mutual_information_of_equal_members_is_zero(members):
    running = RunningEntropy()
    for _ in range(3):
        running.add(members[0])
    np.testing.assert_allclose(running.mutual_information(entropy(members[0])), 0, atol=1e-6)
