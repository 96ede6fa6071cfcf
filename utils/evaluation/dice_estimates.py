"""Estimates of the Dice of a prediction without a reference, from what networks know of their own errors.

Neither is calibrated: `utils.evaluation.dice_prediction` turns one of them into a predicted Dice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from base.argmax import argmax
from base.label_classes import MEAN
from base.regions import Region
from utils.evaluation.metrics import dice

_NEGLIGIBLE = 0.01  # probabilities below this, summed over millions of background voxels, would outweigh a structure


@dataclass(frozen=True)
class DiceEstimate:
    """Estimates of the Dice of one region.

    Attributes:
        agreement: mean Dice of each two members of an ensemble; of a network that predicts its uncertainty, Dice
            between its most cautious and its most generous segmentation; None for other networks.
        expected_dice: under the probabilities, see the function `expected_dice`.
    """

    agreement: float | None
    expected_dice: float


def estimate_dice(
    probabilities: np.ndarray, regions: Sequence[Region], agreements: Sequence[float] | None = None
) -> dict[str, DiceEstimate]:
    """Return the estimates of each region, by name, and of the mean over several classes.

    Args:
        probabilities: float32 (classes, z, y, x).
        agreements: of each region.
    """
    labels = argmax(probabilities)
    found = {}
    for place, region in enumerate(regions):
        expected = expected_dice(_probability_of(region, probabilities), np.isin(labels, region.channels))
        found[region.name] = DiceEstimate(None if agreements is None else agreements[place], expected)
    return found | _mean_of([found[region.name] for region in regions if len(region.channels) == 1])


def _mean_of(estimates: Sequence[DiceEstimate]) -> dict[str, DiceEstimate]:
    """Return the mean over the classes, if there are several."""
    if len(estimates) < 2:
        return {}
    agreements = [one.agreement for one in estimates]
    agreement = None if None in agreements else fmean(agreements)
    return {MEAN: DiceEstimate(agreement, fmean(one.expected_dice for one in estimates))}


def expected_dice(probability: np.ndarray, prediction: np.ndarray) -> float:
    """Estimate the expected Dice of a mask if the reference were drawn from the probabilities.

    It is the ratio of expectations, 2 sum of p over P / (|P| + sum of p), which is close to the expectation of the
    ratio for many voxels. An empty prediction has a Dice of 1 if the reference is empty, too: the probability of that
    is taken to be 1 - the largest p, as the voxels of a structure occur together.

    Args:
        probability: of the structure at each voxel, float (z, y, x); values below 0.01 count as 0.
        prediction: boolean mask.
    """
    total = float(probability.sum(where=probability >= _NEGLIGIBLE, dtype=np.float64))
    size = np.count_nonzero(prediction)
    if not size:
        return 1 - float(probability.max(initial=0))
    return min(1.0, 2 * float(probability.sum(where=prediction, dtype=np.float64)) / (size + total))


def agreement_of_uncertainty(
    probabilities: np.ndarray, uncertainty: np.ndarray, regions: Iterable[Region]
) -> list[float]:
    """Return for each region the Dice between its most cautious and its most generous segmentation.

    These are the voxels where its probability exceeds 1/2 after, and before, the predicted standard deviation over
    members is subtracted from it or added to it.

    Args:
        probabilities: float32 (classes, z, y, x).
        uncertainty: predicted standard deviation, float32 (z, y, x).
    """
    sums = (_probability_of(region, probabilities) for region in regions)
    return [dice(probability - uncertainty > 0.5, probability + uncertainty > 0.5) for probability in sums]


def _probability_of(region: Region, probabilities: np.ndarray) -> np.ndarray:
    """Return the probability of a region at each voxel, float32 (z, y, x): a view for a single class."""
    first, *others = (probabilities[channel] for channel in region.channels)
    return sum(others, start=first)
