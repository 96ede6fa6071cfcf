"""Calibration of the probabilities of one class, or of a union of classes, against the rest.

Scores are computed in and around the foreground: far from it, nearly every voxel is background with certainty, so that
scores over whole images would improve with the amount of background.
"""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Reliability:
    """Probabilities of a class against outcomes, in 15 bins of equal width, each including its upper edge.

    Attributes:
        voxels: number of voxels in each bin, (bins,).
        probabilities, outcomes: sums over the voxels of each bin of the probability of the class, and of outcomes, 1
            where the voxel belongs to the class and 0 elsewhere, (bins,).
    """

    voxels: np.ndarray
    probabilities: np.ndarray
    outcomes: np.ndarray

    @classmethod
    def of(cls, probability: np.ndarray, outcome: np.ndarray) -> "Reliability":
        """Count the probability of a class at each voxel, (n,), and its outcome, boolean (n,)."""
        bins = np.clip(np.ceil(probability * BINS).astype(int) - 1, 0, BINS - 1)
        return cls(*(np.bincount(bins, some, BINS) for some in (None, probability, outcome)))

    def expected_calibration_error(self) -> float | None:
        """Compute the expected calibration error: sum over bins b of n_b / n |mean outcome - mean probability|.

        Guo et al., On calibration of modern neural networks, ICML 2017, over the probability of the class itself
        instead of that of the predicted class. 0 (calibrated) to 1; None without voxels.
        """
        if not self.voxels.any():
            return None
        return float(np.abs(self.outcomes - self.probabilities).sum() / self.voxels.sum())


def expected_calibration_error(probability: np.ndarray, outcome: np.ndarray) -> float | None:
    """Compute the expected calibration error of the probability of a class at each voxel, (n,); see `Reliability`.

    Args:
        outcome: boolean (n,), True where the voxel belongs to the class.
    """
    return Reliability.of(probability, outcome).expected_calibration_error()


def brier_score(probability: np.ndarray, outcome: np.ndarray) -> float | None:
    """Compute the mean of (probability - outcome)², 0 to 1; None without voxels. Arguments as above.

    Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review 1950. With two classes,
    his sum over the classes is twice this value.
    """
    if not probability.size:
        return None
    return float(np.mean((probability.astype(np.float64) - outcome) ** 2))
