"""Do probabilities mean what they say? Calibration of one class, or a union of classes, against the rest.

Scores are taken around the foreground: far from it nearly every voxel is background beyond doubt, and the more of it
an image shows, the better any network would score.
"""

import numpy as np
from scipy import ndimage

from base.boxes import Box, bounding_box
from utils.evaluation.metrics import ROUNDING_MM

SURROUNDINGS_MM = 5.0
BINS = 15


def surroundings(foreground: np.ndarray, spacing_mm: tuple[float, ...]) -> tuple[Box, np.ndarray]:
    """Voxels whose centre lies within `SURROUNDINGS_MM` of the centre of a foreground voxel, itself included.

    Args:
        foreground: boolean (z, y, x).
        spacing_mm: (z, y, x).

    Returns:
        A box of the volume, and a boolean mask of the shape of that box: outside it there are no such voxels. Both are
        empty where `foreground` is.
    """
    reach_mm = SURROUNDINGS_MM + ROUNDING_MM
    box = bounding_box(foreground, [int(reach_mm / mm) for mm in spacing_mm])
    return box, ndimage.distance_transform_edt(~foreground[box], sampling=spacing_mm) <= reach_mm


def expected_calibration_error(probability: np.ndarray, outcome: np.ndarray) -> float | None:
    """Mean distance between what was said and what was so: sum over bins of n_b / n |mean outcome - mean probability|.

    15 bins of equal width, each with its upper edge (Guo et al., On calibration of modern neural networks, ICML 2017),
    here of the probability of the class itself rather than of the winning class.

    Args:
        probability: of the class at each voxel, (n,).
        outcome: boolean (n,), whether the voxel is of the class.

    Returns:
        0 (calibrated) to 1; None without voxels.
    """
    if not probability.size:
        return None
    bins = np.clip(np.ceil(probability * BINS).astype(int) - 1, 0, BINS - 1)
    excess = np.bincount(bins, outcome - probability.astype(np.float64))  # n_b (mean outcome - mean probability)
    return float(np.abs(excess).sum() / probability.size)


def brier_score(probability: np.ndarray, outcome: np.ndarray) -> float | None:
    """Mean of (probability - outcome)², 0 to 1; None without voxels. Arguments as above.

    Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review 1950. With two classes,
    his sum over the classes is twice this.
    """
    if not probability.size:
        return None
    return float(np.mean((probability.astype(np.float64) - outcome) ** 2))
