"""Detection of training cases whose channels seem to be swapped, by their intensities."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from data.intensities import Scaling

_FEWEST_CASES = 4
# A swap is reported where the intensities suit the other channels so many times better.
_CLEARLY = 3.0
_LEAST_SPREAD = 0.05  # of a feature over the cases, so that identical ones do not make the smallest difference count


def features_of(scaling: Scaling, foreground: np.ndarray) -> np.ndarray:
    """Return what distinguishes the channels of a scan: spread, skewness and foreground of the intensities.

    Args:
        scaling: ``zscore``, that follows from the image.
        foreground: stored intensities of foreground voxels, empty without a reference.
    """
    low, high, mean, deviation = scaling
    middle = float(np.median(foreground)) if foreground.size else np.nan
    return np.array(
        [np.log(deviation), (low - mean) / deviation, (high - mean) / deviation, (middle - mean) / deviation]
    )


def swapped_channels(features: Mapping[str, Sequence[np.ndarray]]) -> list[tuple[int, str, str]]:
    """Return (number of the case, channel, other channel) where two channels seem to be swapped.

    Each channel's features are compared with the median over the other cases, in units of the channel's own median
    absolute deviation. With fewer than four cases, nothing is known.

    Args:
        features: of each channel by name, the features of each case.
    """
    values = {channel: np.array(some, float) for channel, some in features.items()}
    known = np.isfinite(list(values.values())).all(axis=(0, 1))  # no foreground without references
    values = {channel: some[:, known] for channel, some in values.items()}
    number_of_cases = len(next(iter(values.values())))
    if number_of_cases < _FEWEST_CASES:
        return []
    found = []
    for one, other in combinations(values, 2):
        for case in range(number_of_cases):
            others = np.arange(number_of_cases) != case
            centres = {name: np.median(values[name][others], axis=0) for name in (one, other)}
            spreads = {
                name: np.maximum(np.median(np.abs(values[name][others] - centres[name]), axis=0), _LEAST_SPREAD)
                for name in (one, other)
            }

            def distance(channel, place, case=case, centres=centres, spreads=spreads):
                return float(np.sum(np.abs(values[channel][case] - centres[place]) / spreads[place]))

            as_they_are = distance(one, one) + distance(other, other)
            if as_they_are > _CLEARLY * (distance(one, other) + distance(other, one)):
                found.append((case, one, other))
    return found
