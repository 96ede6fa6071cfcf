"""Whole volumes through a network of slices or of volumes: in one pass where that is right, else window by window."""

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from utils.activation_memory import activation_bytes
from utils.boxes import bounding_box
from utils.windows import place_windows

# Windows are run together up to this many voxels: below it, calls cost more than arithmetic; above it, caches overflow.
_VOXELS_AT_ONCE = 60_000


def predictor_of(
    network: nn.Module,
    device: torch.device,
    *,
    dimensions: int,
    pads: bool,
    fixed_size: bool,
    margin: int,
    planes: Sequence[int],
    window: int,
    number_of_classes: int,
    predicts_uncertainty: bool = False,
    overlap: float = 0.5,
    memory_limit_bytes: float = 4 * 2**30,
) -> "VolumePredictor":
    """What predicts whole volumes with `network`, in the way that suits it.

    A network that pads nothing answers alike however the volume is cut. One that pads is unsure at the borders of what
    it is given: it is given all if memory allows, else windows that overlap. One that also normalizes over what it is
    given answers well only at the size that it was trained on: always windows.

    Args:
        dimensions: of what the network reads: 2 (slices) or 3 (volumes).
        pads: whether the network pads its input.
        fixed_size: whether it answers well only at the size that it was trained on.
        margin: voxels that it reads beyond each side of what it classifies; 0 if it pads.
        planes: array axes along which slices are taken; without meaning for 3 dimensions.
        window: side of what the network was trained to classify.
        predicts_uncertainty: whether its outputs have one channel more than classes.
        overlap: share of a window's side that the next one covers too, at least, where there are windows.
        memory_limit_bytes: what the activations of one pass over a volume may take; slices always fit.
    """
    if dimensions == 2:
        memory_limit_bytes = math.inf
    else:
        planes = None
    if not pads:
        window, overlap = None, 0.0
    elif fixed_size:
        memory_limit_bytes = 0
    ways = (window, overlap, memory_limit_bytes, predicts_uncertainty)
    return VolumePredictor(network, margin, planes, number_of_classes, device, *ways)


class VolumePredictor:
    """Predicts volumes with one network.

    Args:
        network: from (n, 1, sides...) to logits (n, classes, sides - 2 margin...), of two sides or three.
        margin: voxels that the network reads beyond each side of what it classifies.
        planes: array axes along which slices are taken, each slice once; None for a network of volumes.
        window: side of windows where one pass takes too much memory, and the least that the network is given; None for
            windows as large as memory allows.
        overlap: share of a window's side that the next one covers too, at least.
        memory_limit_bytes: what the activations of one pass over a slice or volume may take; 0 for windows always.
        predicts_uncertainty: whether the logits are followed by one channel more, of a student's uncertainty.
    """

    def __init__(
        self,
        network: nn.Module,
        margin: int,
        planes: Sequence[int] | None,
        number_of_classes: int,
        device: torch.device,
        window: int | None = None,
        overlap: float = 0.0,
        memory_limit_bytes: float = math.inf,
        predicts_uncertainty: bool = False,
    ):
        layout = torch.preserve_format if planes is None else torch.channels_last
        self._network = network.to(device, memory_format=layout).eval()
        self._margin = margin
        self._planes = planes
        self._number_of_classes = number_of_classes
        self._device = device
        self._window = window
        self._overlap = overlap
        self._memory_limit_bytes = memory_limit_bytes
        self._number_of_channels = number_of_classes + predicts_uncertainty

    @torch.inference_mode()
    def __call__(
        self, volume: np.ndarray, outside: float, region: tuple[slice, slice, slice] | None = None
    ) -> np.ndarray:
        """Class probabilities: the mean over planes and windows of the softmax of the network's logits.

        Windows count most in their middles (Gaussian weights), planes all the same.

        Args:
            volume: float32 (z, y, x), normalized.
            outside: value of what lies around the volume.
            region: the box of the volume to be classified, the rest of which is only looked at; None for all of it.

        Returns:
            float32 (classes, z, y, x) of the region, summing to 1; after them the uncertainty, if it is predicted.
        """
        wanted = region or tuple(slice(0, side) for side in volume.shape)
        # A network that pads must see what surrounds the region, too.
        margin = (self._window or 0) // 2
        box = [slice(max(0, w.start - margin), min(side, w.stop + margin)) for w, side in zip(wanted, volume.shape)]
        total = np.zeros((self._number_of_channels, *(part.stop - part.start for part in box)), np.float32)
        if self._planes is None:
            self._add_probabilities(volume[None], box, outside, total[:, None])
        else:
            for axis in self._planes:  # views: what is added to them is added to `total`
                images = np.moveaxis(volume, axis, 0)[box[axis]]
                area = [part for other, part in enumerate(box) if other != axis]
                self._add_probabilities(images, area, outside, np.moveaxis(total, axis + 1, 1))
            total /= len(self._planes)
        return total[(slice(None), *(slice(w.start - b.start, w.stop - b.start) for w, b in zip(wanted, box)))]

    def within(self, volume: np.ndarray, outside: float, mask: np.ndarray) -> np.ndarray:
        """As a call, but computed only in the box of boolean `mask` (z, y, x); beyond it all is surely background."""
        total = np.zeros((self._number_of_channels, *volume.shape), np.float32)
        total[0] = 1
        if mask.any():
            box = bounding_box(mask)
            total[(slice(None), *box)] = self(volume, outside, box)
        return total

    def _add_probabilities(self, images: np.ndarray, box: Sequence[slice], outside: float, target: np.ndarray) -> None:
        """Add the probabilities of the `box` of `images` (n, sides...) to `target` (channels, n, sides of the box...).

        A box smaller than the window lies in its middle:

            image            0 1 2 3 4          box 0:5, window 8, margin 1
            window       o o 0 1 2 3 4 o o o    what is read; the outermost of it is margin
            kept             0 1 2 3 4
        """
        box_sides = [part.stop - part.start for part in box]
        extents = [max(side, self._window or 1) for side in box_sides]
        before = [(extent - side) // 2 for extent, side in zip(extents, box_sides)]
        starts = [part.start - low - self._margin for part, low in zip(box, before)]
        padded = _cut(images, starts, [extent + 2 * self._margin for extent in extents], outside)
        sides = self._sides(extents)
        read = [side + 2 * self._margin for side in sides]
        kept = [min(pair) for pair in zip(sides, box_sides)]
        middle = tuple(slice(low, low + side) for low, side in zip(before, kept))

        rows = (place_windows(extent, side, self._overlap) for extent, side in zip(extents, sides))
        windows = list(itertools.product(range(len(images)), *rows))
        step = max(1, _VOXELS_AT_ONCE // math.prod(read))
        for first in range(0, len(windows), step):
            together = windows[first : first + step]
            parts = np.stack([padded[(number, *_box(row, read))] for number, *row in together])
            for (number, *row), probabilities in zip(together, self._probabilities(parts)):
                weights = functools.reduce(np.multiply.outer, (weights for _, weights in row))
                probabilities *= weights
                target[(slice(None), number, *_box(row, kept))] += probabilities[(slice(None), *middle)]

    def _sides(self, extents: Sequence[int]) -> list[int]:
        """Sides of what is classified at once in an image of `extents`: all of it if memory allows."""
        sides = list(extents)
        while max(sides) > 1 and not self._fits(sides):
            if self._window:
                return [self._window] * len(sides)
            longest = sides.index(max(sides))
            sides[longest] = -(-sides[longest] // 2)
        return sides

    def _fits(self, sides: Sequence[int]) -> bool:
        """Whether memory allows to classify an area of `sides` in one pass."""
        if self._memory_limit_bytes in (0, math.inf):  # PyTorch takes a second to answer for the first time
            return self._memory_limit_bytes > 0
        read = [side + 2 * self._margin for side in sides]
        return activation_bytes(self._network, read) <= self._memory_limit_bytes

    def _probabilities(self, parts: np.ndarray) -> np.ndarray:
        """Probabilities (n, channels, sides...) of the middles of parts (n, sides...), with the uncertainty, if any."""
        outputs = self._network(torch.from_numpy(parts)[:, None].to(self._device))
        logits, rest = outputs[:, : self._number_of_classes], outputs[:, self._number_of_classes :]
        values = logits.softmax(dim=1)
        if rest.shape[1]:
            values = torch.cat([values, nn.functional.softplus(rest)], dim=1)
        return values.cpu().numpy()


def _cut(images: np.ndarray, starts: Sequence[int], sides: Sequence[int], fill: float) -> np.ndarray:
    """The box at `starts` of `sides` of each of `images` (n, sides...); `fill` where it reaches beyond them."""
    ends = [start + side for start, side in zip(starts, sides)]
    inside = tuple(slice(max(0, a), min(side, b)) for a, b, side in zip(starts, ends, images.shape[1:]))
    around = [(part.start - a, b - part.stop) for part, a, b in zip(inside, starts, ends)]
    return np.pad(images[(slice(None), *inside)], [(0, 0), *around], constant_values=np.float32(fill))


def _box(row: Sequence[tuple[int, np.ndarray]], sides: Sequence[int]) -> tuple[slice, ...]:
    """The box of `sides` at the starts of a window, given along each axis with its weights."""
    return tuple(slice(start, start + side) for (start, _), side in zip(row, sides))
