"""Predictive entropy, and the mutual information of an ensemble's prediction and its members."""

import numpy as np

from base.chunks import chunks


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Entropy of class probabilities (classes, ...) in nats, float32 (...): -sum p log p."""
    flat = probabilities.reshape(len(probabilities), -1)
    total = np.zeros(flat.shape[1], np.float32)
    for chunk in chunks(len(total)):
        shares = flat[:, chunk]
        logarithms = np.log(np.maximum(shares, np.float32(1e-30)))
        total[chunk] = -(shares * logarithms).sum(axis=0)
    return total.reshape(probabilities.shape[1:])


class RunningEntropy:
    """Weighted mean over members of the entropy of each, one member at a time.

    The entropy of the mean less this is the mutual information of the prediction and the member (Depeweg et al.,
    ICML 2018): what the members do not agree on, without what each of them is unsure of.
    """

    def __init__(self):
        self.mean: np.ndarray | None = None
        self._weight = 0.0

    def add(self, probabilities: np.ndarray, weight: float = 1.0) -> None:
        """Take in the probabilities of one member, float32 (classes, z, y, x)."""
        self._weight += weight
        own = entropy(probabilities)
        if self.mean is None:
            self.mean = own
        else:
            own -= self.mean
            own *= weight / self._weight
            self.mean += own

    def mutual_information(self, entropy_of_mean: np.ndarray) -> np.ndarray:
        """Entropy of the members' mean less the mean of their entropies, in nats, at least 0, float32 (z, y, x)."""
        return np.maximum(entropy_of_mean - self.mean, 0)
