"""Error ranking: separation of wrong from correct voxels by an uncertainty map."""

import numpy as np
from scipy import ndimage
from scipy.stats import rankdata

from base.boxes import Box, bounding_box
from base.label_classes import IGNORED
from utils.evaluation.metrics import ROUNDING_MM

BAND_MM = 5.0
RANKING_COLUMNS = ("case", "map", "error_ranking")
RANKING_TITLE = "area under the ROC curve of errors near boundaries"


class ErrorRanking:
    """Ranking of a prediction's errors by uncertainty maps, in the boundary band of the reference.

    Args:
        prediction, reference: class indices (z, y, x); the reference is `IGNORED` where it is not annotated.
        spacing_mm: (z, y, x).
    """

    def __init__(self, prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...]):
        known = reference != IGNORED
        self._box, self._band = boundary_band(reference, spacing_mm)
        self._band &= known[self._box]
        self._wrong = (prediction[self._box] != reference[self._box])[self._band]

    def area(self, uncertainty: np.ndarray) -> float | None:
        """Compute the area under the ROC curve of uncertainty (z, y, x) as a detector of errors.

        It is the probability that a wrong voxel is more uncertain than a correct one (ties count half; Mann and
        Whitney, 1947), among voxels within `BAND_MM` of a boundary. None if all or none of them are wrong.
        """
        wrong, count = self._wrong, int(np.count_nonzero(self._wrong))
        if count in (0, len(wrong)):
            return None
        ranks = rankdata(uncertainty[self._box][self._band])
        return float((ranks[wrong].sum() - count * (count + 1) / 2) / (count * (len(wrong) - count)))


def boundary_band(labels: np.ndarray, spacing_mm: tuple[float, ...]) -> tuple[Box, np.ndarray]:
    """Find voxels within `BAND_MM` of a boundary voxel, which has a 6-neighbour with another label, both annotated.

    Returns:
        A box of the volume that contains all these voxels, and their boolean mask within the box.
    """
    reach = [1 + int((BAND_MM + ROUNDING_MM) / mm) for mm in spacing_mm]  # 1: boundary voxels in the background
    box = bounding_box((labels > 0) & (labels != IGNORED), reach)
    labels = labels[box]
    known = labels != IGNORED
    boundary = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        lower, upper = (
            tuple(part if other == axis else slice(None) for other in range(labels.ndim))
            for part in (slice(None, -1), slice(1, None))
        )
        changes = (labels[lower] != labels[upper]) & known[lower] & known[upper]
        boundary[lower] |= changes
        boundary[upper] |= changes
    if not boundary.any():
        return box, boundary
    return box, ndimage.distance_transform_edt(~boundary, spacing_mm) <= BAND_MM + ROUNDING_MM
