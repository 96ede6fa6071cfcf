"""Predictive entropy, and mutual information between the prediction of an ensemble and its members."""

import numpy as np

from base.chunks import chunks


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Compute the entropy of class probabilities (classes, ...) in nats, float32 (...): -sum p log p."""
    flat = probabilities.reshape(len(probabilities), -1)
    total = np.zeros(flat.shape[1], np.float32)
    for chunk in chunks(len(total)):
        shares = flat[:, chunk]
        logarithms = np.log(np.maximum(shares, np.float32(1e-30)))
        total[chunk] = -(shares * logarithms).sum(axis=0)
    return total.reshape(probabilities.shape[1:])


class RunningEntropy:
    """Running weighted mean of the members' entropies.

    The entropy of the mean prediction minus this mean is the mutual information between prediction and member (Depeweg
    et al., ICML 2018): the uncertainty from disagreement between members, without that of each single member.
    """

    def __init__(self):
        self.mean: np.ndarray | None = None
        self._weight = 0.0

    def add(self, probabilities: np.ndarray, weight: float = 1.0) -> None:
        """Add the probabilities of one member, float32 (classes, z, y, x)."""
        self._weight += weight
        own = entropy(probabilities)
        if self.mean is None:
            self.mean = own
        else:
            own -= self.mean
            own *= weight / self._weight
            self.mean += own

    def clip(self, mask: np.ndarray) -> None:
        """Make all beyond a boolean mask (z, y, x) certain."""
        self.mean *= mask

    def mutual_information(self, entropy_of_mean: np.ndarray) -> np.ndarray:
        """Return the entropy of the mean minus the mean of the entropies, in nats, at least 0, float32 (z, y, x)."""
        return np.maximum(entropy_of_mean - self.mean, 0)
