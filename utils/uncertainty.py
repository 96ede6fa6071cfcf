"""Uncertainty of an ensemble, and how well a map of uncertainty tells where a prediction is wrong."""

import numpy as np
from scipy import ndimage
from scipy.stats import rankdata

from utils.boxes import Box, bounding_box
from utils.metrics import ROUNDING_MM

BAND_MM = 5.0
_VOXELS_AT_ONCE = 1 << 15  # whose numbers stay in a processor's cache from one operation to the next


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Entropy of class probabilities (classes, ...) in nats, float32 (...): -sum p log p."""
    flat = probabilities.reshape(len(probabilities), -1)
    total = np.zeros(flat.shape[1], np.float32)
    for first in range(0, len(total), _VOXELS_AT_ONCE):
        shares = flat[:, first : first + _VOXELS_AT_ONCE]
        logarithms = np.log(np.maximum(shares, np.float32(1e-30)))
        total[first : first + _VOXELS_AT_ONCE] = -(shares * logarithms).sum(axis=0)
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


class ErrorRanking:
    """How well maps of uncertainty tell where one prediction is wrong, in a band around the reference's boundaries.

    Args:
        prediction, reference: class indices (z, y, x).
        spacing_mm: (z, y, x).
    """

    def __init__(self, prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...]):
        self._box, self._band = boundary_band(reference, spacing_mm)
        self._wrong = (prediction[self._box] != reference[self._box])[self._band]

    def area(self, uncertainty: np.ndarray) -> float | None:
        """Area under the ROC curve of uncertainty (z, y, x) as a test for error.

        The chance that a voxel that is wrong is more uncertain than one that is right (ties count half; Mann and
        Whitney, 1947), among voxels within `BAND_MM` of a boundary. None where all or none of them are wrong.
        """
        wrong, count = self._wrong, int(np.count_nonzero(self._wrong))
        if count in (0, len(wrong)):
            return None
        ranks = rankdata(uncertainty[self._box][self._band])
        return float((ranks[wrong].sum() - count * (count + 1) / 2) / (count * (len(wrong) - count)))


def boundary_band(labels: np.ndarray, spacing_mm: tuple[float, ...]) -> tuple[Box, np.ndarray]:
    """Voxels within `BAND_MM` of one whose 6 neighbours are not all of its label.

    Returns:
        A box of the volume, and a boolean mask of the shape of that box: outside it there are no such voxels.
    """
    reach = [1 + int((BAND_MM + ROUNDING_MM) / mm) for mm in spacing_mm]  # a boundary has one side in the background
    box = bounding_box(labels > 0, reach)
    labels = labels[box]
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
        return box, boundary
    return box, ndimage.distance_transform_edt(~boundary, spacing_mm) <= BAND_MM
