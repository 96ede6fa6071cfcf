"""Running average of the members of an ensemble: one member at a time, however many there are."""

from functools import cached_property

import numpy as np

from base.chunks import chunks
from utils.ensembling.entropy import RunningEntropy, entropy


class EnsembleAverage:
    """Averages the members' probabilities of one case: their mean, and the moments that become soft labels.

    Args:
        temperature: of the soft labels.

    Attributes:
        soft: the moments at that temperature.
    """

    def __init__(self, temperature: float):
        self.soft = RunningMoments()
        self._plain = self.soft if temperature == 1 else RunningMoments()
        self._entropies = RunningEntropy()
        self._temperature = temperature

    def add(self, probabilities: np.ndarray, weight: float) -> None:
        """Add the probabilities of one member, float32 (classes, z, y, x)."""
        self.soft.add(soften(probabilities, self._temperature), weight)
        if self._plain is not self.soft:
            self._plain.add(probabilities, weight)
        self._entropies.add(probabilities, weight)

    def clip(self, mask: np.ndarray) -> None:
        """Make all beyond a boolean mask (z, y, x) background, as if all members were certain of it.

        Called after all members were added.
        """
        self.soft.clip(mask)
        if self._plain is not self.soft:
            self._plain.clip(mask)
        self._entropies.clip(mask)

    @property
    def mean(self) -> np.ndarray:
        """Mean probabilities of the ensemble, float32 (classes, z, y, x)."""
        return self._plain.mean

    @cached_property
    def deviation(self) -> np.ndarray:
        """Standard deviation of the soft labels, float32 (classes, z, y, x), after all members were added."""
        return self.soft.deviation()

    def uncertainty_maps(self) -> dict[str, np.ndarray]:
        """Return maps (z, y, x): entropy and mutual information in nats, and the largest standard deviation."""
        total = entropy(self.mean)
        return {
            "entropy": total,
            "mutual_information": self._entropies.mutual_information(total),
            "deviation": self.deviation.max(axis=0),
        }


class RunningMoments:
    """Weighted mean and standard deviation over the members of an ensemble, one member at a time (West, 1979)."""

    def __init__(self):
        self.mean: np.ndarray | None = None
        self._weight = 0.0
        self._squares: np.ndarray | None = None

    def add(self, probabilities: np.ndarray, weight: float = 1.0) -> None:
        """Add the probabilities of one member, float32 (classes, z, y, x); they are neither kept nor changed."""
        self._weight += weight
        if self.mean is None:
            self.mean, self._squares = probabilities.copy(), np.zeros_like(probabilities)
            return
        share = weight / self._weight
        means, squares, values = (a.reshape(len(a), -1) for a in (self.mean, self._squares, probabilities))
        for chunk in chunks(means.shape[1]):
            part = (slice(None), chunk)
            difference = values[part] - means[part]
            means[part] += difference * share
            squares[part] += weight * difference * (values[part] - means[part])

    def clip(self, mask: np.ndarray) -> None:
        """Make all beyond a boolean mask (z, y, x) background, as if all members were certain of it."""
        self.mean *= mask
        self.mean[0] += ~mask
        self._squares *= mask

    def deviation(self) -> np.ndarray:
        """Return the population standard deviation over the members, float32 (classes, z, y, x)."""
        deviation = self._squares / self._weight
        return np.sqrt(deviation, out=deviation)


def soften(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return probabilities at a temperature, p^(1/T) / sum p^(1/T): softmax of logits / T (Hinton et al., 2015)."""
    if temperature == 1:
        return probabilities
    largest = probabilities.max(axis=0, keepdims=True)  # at low temperatures, all powers might be 0
    powers = (probabilities / largest) ** (1 / temperature)
    return powers / powers.sum(axis=0, keepdims=True)
