"""Prediction from several mirrored views of a volume (test-time augmentation)."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Protocol

import numpy as np

Predict = Callable[[np.ndarray, Sequence[float], np.ndarray | None], np.ndarray]


class Mirrored(Protocol):
    """A network that was trained on images mirrored along `mirrored_axes` of (z, y, x), too."""

    mirrored_axes: Sequence[int]


def mirrorings(description: Mirrored, count: int) -> list[tuple[int, ...]]:
    """Return the first `count` sets of axes along which a volume is mirrored: none, then one axis, then two, ...

    The last axis comes first: (), (2,), (1,), (1, 2) for a network that was trained on mirrored axial slices.

    Raises:
        ValueError: there are fewer.
    """
    axes = sorted(description.mirrored_axes, reverse=True)
    known = [tuple(sorted(some)) for size in range(len(axes) + 1) for some in combinations(axes, size)]
    if count > len(known):
        views = "view" if len(known) == 1 else "views"
        how = f"images mirrored along {len(axes)} axes" if axes else "no mirrored images"
        raise ValueError(f"the network was trained on {how}: it has {len(known)} {views}, not {count}")
    return known[:count]


class MirroredViews:
    """Averages the predictions of one network over mirrored views of a volume.

    Args:
        predict: predicts a volume, as `utils.inference.volumes.VolumePredictor` does.
        mirrorings: axes (of z, y, x) along which each view is mirrored.
    """

    def __init__(self, predict: Predict, mirrorings: Sequence[tuple[int, ...]]):
        self._predict = predict
        self._mirrorings = mirrorings

    def __call__(
        self, volume: np.ndarray, padding_values: Sequence[float], mask: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the mean over the views, float32 (channels, z, y, x), in the orientation of `volume`.

        Args:
            volume: float32 (channels, z, y, x), normalized.
            padding_values: value, in each channel, of voxels beyond the volume.
            mask: boolean (z, y, x), where to classify; None: everywhere.
        """
        total = None
        for axes in self._mirrorings:
            after_channels = [axis + 1 for axis in axes]
            view = np.ascontiguousarray(np.flip(volume, after_channels))
            part = None if mask is None else np.ascontiguousarray(np.flip(mask, axes))
            answer = np.flip(self._predict(view, padding_values, part), after_channels)
            total = answer.copy() if total is None else np.add(total, answer, out=total)
        total /= len(self._mirrorings)
        return total
