"""Calibration of the probabilities of one class, or of a union of classes, against the rest.

Scores are computed in and around the foreground: far from it, nearly every voxel is background with certainty, so that
scores over whole images would improve with the amount of background.
"""

import numpy as np
from scipy import ndimage

from base.boxes import Box, bounding_box
from utils.evaluation.metrics import ROUNDING_MM

FOREGROUND_MARGIN_MM = 5.0
BINS = 15


def foreground_margin(foreground: np.ndarray, spacing_mm: tuple[float, ...]) -> tuple[Box, np.ndarray]:
    """Find the foreground and the margin around it: voxels within `FOREGROUND_MARGIN_MM` of a foreground voxel.

    Distances are between voxel centres.

    Args:
        foreground: boolean (z, y, x).
        spacing_mm: (z, y, x).

    Returns:
        A box of the volume that contains all these voxels, and their boolean mask within the box. Both are empty if
        `foreground` is.
    """
    reach_mm = FOREGROUND_MARGIN_MM + ROUNDING_MM
    box = bounding_box(foreground, [int(reach_mm / mm) for mm in spacing_mm])
    return box, ndimage.distance_transform_edt(~foreground[box], sampling=spacing_mm) <= reach_mm


def expected_calibration_error(probability: np.ndarray, outcome: np.ndarray) -> float | None:
    """Compute the expected calibration error: sum over bins b of n_b / n |mean outcome - mean probability|.

    15 bins of equal width, each including its upper edge (Guo et al., On calibration of modern neural networks, ICML
    2017), over the probability of the class itself instead of that of the predicted class.

    Args:
        probability: of the class at each voxel, (n,).
        outcome: boolean (n,), True where the voxel belongs to the class.

    Returns:
        0 (calibrated) to 1; None without voxels.
    """
    if not probability.size:
        return None
    bins = np.clip(np.ceil(probability * BINS).astype(int) - 1, 0, BINS - 1)
    excess = np.bincount(bins, outcome - probability.astype(np.float64))  # n_b (mean outcome - mean probability)
    return float(np.abs(excess).sum() / probability.size)


def brier_score(probability: np.ndarray, outcome: np.ndarray) -> float | None:
    """Compute the mean of (probability - outcome)², 0 to 1; None without voxels. Arguments as above.

    Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review 1950. With two classes,
    his sum over the classes is twice this value.
    """
    if not probability.size:
        return None
    return float(np.mean((probability.astype(np.float64) - outcome) ** 2))
