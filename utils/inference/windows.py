"""Sliding windows for networks that pad: one pass, or overlapping windows with Gaussian weights."""

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np

from base.boxes import Box
from utils.inference.array_networks import ArrayNetwork
from utils.inference.crop import crop

_SIGMAS_A_SIDE = 8  # Isensee et al., nnU-Net, 2021


class SlidingWindows:
    """Runs a network that pads, and so is less certain at the borders of its input.

    Args:
        padding_values: (channels,), of voxels beyond the images.
        side: of the windows, and the least side of an input, in voxels.
        overlap: least share of a window's side that the next window covers, too.
        memory_limit_bytes: limit of the activations of one pass; 0 for windows always.
    """

    def __init__(
        self,
        network: ArrayNetwork,
        padding_values: np.ndarray,
        side: int,
        overlap: float,
        memory_limit_bytes: float,
    ):
        self._network = network
        self._padding_values = padding_values
        self._side = side
        self._overlap = overlap
        self._memory_limit_bytes = memory_limit_bytes
        self._of_padding: dict[tuple[int, ...], np.ndarray] = {}

    def fill(self, images: np.ndarray, content: Box | None, wanted: Box | None, target: np.ndarray) -> None:
        """Write probabilities of the box `wanted` of images to `target` (classes, n, sides...), which holds zeros.

        The input extends beyond the box. A box smaller than the window lies in the window's middle:

            image            0 1 2 3 4          box 0:5, window 8
            window         o 0 1 2 3 4 o o      what is read
            kept             0 1 2 3 4

        Args:
            images: (n, channels, sides...).
        """
        if wanted is None:
            return
        seen = self._side // 2
        box = [slice(max(0, w.start - seen), min(n, w.stop + seen)) for w, n in zip(wanted, images.shape[2:])]
        extents = [max(part.stop - part.start, self._side) for part in box]
        before = [(extent - part.stop + part.start) // 2 for extent, part in zip(extents, box)]
        sides = extents if self._fits(images.shape[1], extents) else [self._side] * len(box)
        rows = (place_windows(extent, side, self._overlap) for extent, side in zip(extents, sides))
        windows = list(itertools.product(range(len(images)), *rows))
        together = max(1, self._network.voxels_at_once // math.prod(sides))
        for some in (windows[first : first + together] for first in range(0, len(windows), together)):
            corners = [
                [part.start - low + start for part, low, (start, _) in zip(box, before, row)] for _, *row in some
            ]
            parts = np.concatenate(
                [
                    crop(images[number : number + 1], _box_at(corner, sides), self._padding_values)
                    for (number, *_), corner in zip(some, corners)
                ]
            )
            for (number, *row), corner, probabilities in zip(some, corners, self._probabilities(parts)):
                weights = functools.reduce(np.multiply.outer, (weights for _, weights in row))
                kept = [
                    slice(max(low, w.start), min(low + side, w.stop)) for low, side, w in zip(corner, sides, wanted)
                ]
                if all(part.start < part.stop for part in kept):
                    inside = tuple(slice(part.start - low, part.stop - low) for part, low in zip(kept, corner))
                    target[(slice(None), number, *kept)] += probabilities[(slice(None), *inside)] * weights[inside]

    def _fits(self, channels: int, sides: Sequence[int]) -> bool:
        """Tell whether memory allows to classify an image of `channels` and `sides` in one pass."""
        if self._memory_limit_bytes in (0, math.inf):  # the first estimate may take a second
            return self._memory_limit_bytes > 0
        return self._network.activation_bytes(channels, sides) <= self._memory_limit_bytes

    def _probabilities(self, parts: np.ndarray) -> np.ndarray:
        """Return probabilities of windows (n, channels, sides...), computed once for those of padding alone."""
        padding = self._padding_values.reshape(-1, *[1] * (parts.ndim - 2))
        bare = (parts == padding).reshape(len(parts), -1).all(axis=1)
        if not bare.any():
            return self._network(parts)
        sides = parts.shape[2:]
        if sides not in self._of_padding:
            self._of_padding[sides] = self._network(parts[bare][:1])[0]
        known = self._of_padding[sides]
        answers = np.empty((len(parts), *known.shape), np.float32)
        answers[bare] = known
        if not bare.all():
            answers[~bare] = self._network(parts[~bare])
        return answers


def _box_at(corner: Sequence[int], sides: Sequence[int]) -> list[slice]:
    return [slice(start, start + side) for start, side in zip(corner, sides)]


def place_windows(extent: int, side: int, overlap: float) -> list[tuple[int, np.ndarray]]:
    """Return starts of evenly spaced windows along an axis, and the weight of each of their voxels.

        axis       0 1 2 3 4 5 6        extent 7, side 4, overlap 0.5
        windows    a a a a
                       b b b b          start 2, of 1.5
                         c c c c

    Weights are Gaussian and scaled to sum to 1 at every voxel of the axis, so that products of the weights of several
    axes sum to 1 at every voxel of a slice or volume: nothing is left to divide by. No weight is 0.

    Args:
        extent: of the axis, at least `side`.
        overlap: least share of a window's side that the next window covers, too.

    Returns:
        (start, float32 weights (side,)) of each window.
    """
    stride = max(1, int(side * (1 - overlap)))
    starts = np.linspace(0, extent - side, -(-(extent - side) // stride) + 1).round().astype(int).tolist()
    from_centre = np.arange(side) - (side - 1) / 2
    gaussian = np.exp(-0.5 * (from_centre * _SIGMAS_A_SIDE / side) ** 2)
    total = np.zeros(extent)
    for start in starts:
        total[start : start + side] += gaussian
    return [(start, (gaussian / total[start : start + side]).astype(np.float32)) for start in starts]
