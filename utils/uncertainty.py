"""Uncertainty of an ensemble, and how well a map of uncertainty tells where a prediction is wrong."""

import numpy as np
from scipy import ndimage
from scipy.stats import rankdata

BAND_MM = 5.0


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Entropy of class probabilities (classes, ...) in nats, float32 (...): -sum p log p."""
    total = np.zeros(probabilities.shape[1:], np.float32)
    for share in probabilities:  # class by class, to spare memory
        total -= share * np.log(np.maximum(share, np.float32(1e-30)))
    return total


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
        self.mean = own if self.mean is None else self.mean + (own - self.mean) * (weight / self._weight)

    def mutual_information(self, mean_probabilities: np.ndarray) -> np.ndarray:
        """Entropy of the members' mean less the mean of their entropies, in nats, at least 0, float32 (z, y, x)."""
        return np.maximum(entropy(mean_probabilities) - self.mean, 0)


def error_ranking(
    uncertainty: np.ndarray, prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...]
) -> float | None:
    """Area under the ROC curve of uncertainty as a test for error, in a band around the reference's boundaries.

    The chance that a voxel that is wrong is more uncertain than one that is right (ties count half; Mann and Whitney,
    1947), among voxels within `BAND_MM` of a boundary. None where all or none of them are wrong.

    Args:
        uncertainty: (z, y, x).
        prediction, reference: labels (z, y, x).
        spacing_mm: (z, y, x).
    """
    band = boundary_band(reference, spacing_mm)
    wrong = (prediction != reference)[band]
    count = int(np.count_nonzero(wrong))
    if count in (0, len(wrong)):
        return None
    ranks = rankdata(uncertainty[band])
    return float((ranks[wrong].sum() - count * (count + 1) / 2) / (count * (len(wrong) - count)))


def boundary_band(labels: np.ndarray, spacing_mm: tuple[float, ...]) -> np.ndarray:
    """Voxels within `BAND_MM` of one whose 6 neighbours are not all of its label, boolean (z, y, x)."""
    boundary = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        lower, upper = (
            tuple(part if other == axis else slice(None) for other in range(labels.ndim))
            for part in (slice(None, -1), slice(1, None))
        )
        changes = labels[lower] != labels[upper]
        boundary[lower] |= changes
        boundary[upper] |= changes
    if not boundary.any():
        return boundary
    return ndimage.distance_transform_edt(~boundary, spacing_mm) <= BAND_MM
