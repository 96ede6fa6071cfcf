"""Whole volumes through a network of volumes: in one pass where memory allows it, else window by window."""

import copy
import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

# Windows are run together up to this many voxels: below it, calls cost more than arithmetic; above it, caches overflow.
_VOXELS_AT_ONCE = 60_000
_SIGMAS_A_SIDE = 8  # Isensee et al., nnU-Net, 2021


class WindowPredictor:
    """Predicts volumes with one network of three dimensions.

    A network that pads nothing answers alike however the volume is cut: the windows lie side by side, as large as
    memory allows. One that pads is unsure at a window's border: windows have the side that it was trained on, overlap,
    and count most in their middles (Gaussian weights).

    Args:
        network: from (n, 1, z, y, x) to logits (n, classes, z - 2 margin, y - 2 margin, x - 2 margin).
        margin: voxels that the network reads beyond each side of what it classifies.
        window: side of the windows of a volume that memory does not allow to take in one pass, and the least that the
            network is given; None for as large as memory allows.
        overlap: share of a window's side that the next one covers too, at least.
        memory_limit_bytes: what `activation_bytes` of one pass may be.
    """

    def __init__(
        self,
        network: nn.Module,
        margin: int,
        window: int | None,
        number_of_classes: int,
        device: torch.device,
        overlap: float,
        memory_limit_bytes: int,
    ):
        self._network = network.to(device).eval()
        self._margin = margin
        self._window = window
        self._number_of_classes = number_of_classes
        self._device = device
        self._overlap = overlap
        self._memory_limit_bytes = memory_limit_bytes

    @torch.inference_mode()
    def __call__(self, volume: np.ndarray, outside: float) -> np.ndarray:
        """Class probabilities: the weighted mean over the windows of the softmax of the network's logits.

        Args:
            volume: float32 (z, y, x), normalized.
            outside: value of what lies around the volume.

        Returns:
            float32 (classes, z, y, x), summing to 1.
        """
        extents = [max(side, self._window or 1) for side in volume.shape]
        before = [(extent - side) // 2 for extent, side in zip(extents, volume.shape)]
        amounts = [
            (low + self._margin, extent - low - side + self._margin)
            for low, extent, side in zip(before, extents, volume.shape)
        ]
        padded = np.pad(volume, amounts, constant_values=np.float32(outside))
        total = np.zeros((self._number_of_classes, *extents), np.float32)

        sides = self._sides(extents)
        read = [side + 2 * self._margin for side in sides]
        rows = [place_windows(extent, side, self._overlap) for extent, side in zip(extents, sides)]
        windows = list(itertools.product(*rows))
        step = max(1, _VOXELS_AT_ONCE // math.prod(read))
        for first in range(0, len(windows), step):
            together = windows[first : first + step]
            parts = np.stack([padded[_box(window, read)] for window in together])
            for window, probabilities in zip(together, self._probabilities(parts)):
                z, y, x = (weights for _, weights in window)
                probabilities *= z[:, None, None] * y[:, None] * x
                total[(slice(None), *_box(window, sides))] += probabilities
        place = tuple(slice(low, low + side) for low, side in zip(before, volume.shape))
        return np.ascontiguousarray(total[(slice(None), *place)])

    def _sides(self, extents: Sequence[int]) -> list[int]:
        """Sides of what is classified at once in a volume of `extents`: all of it if memory allows it."""
        sides = list(extents)
        while self._bytes(sides) > self._memory_limit_bytes and max(sides) > 1:
            if self._window:
                return [self._window] * 3
            longest = sides.index(max(sides))
            sides[longest] = -(-sides[longest] // 2)
        return sides

    def _bytes(self, sides: Sequence[int]) -> int:
        return activation_bytes(self._network, [side + 2 * self._margin for side in sides])

    def _probabilities(self, parts: np.ndarray) -> np.ndarray:
        """Probabilities (n, classes, z, y, x) of parts (n, z, y, x)."""
        logits = self._network(torch.from_numpy(parts)[:, None].to(self._device))
        return logits.softmax(dim=1).cpu().numpy()


def place_windows(extent: int, side: int, overlap: float) -> list[tuple[int, np.ndarray]]:
    """Starts of windows along an axis, evenly spaced, and the weight of each of their voxels.

        axis       0 1 2 3 4 5 6        extent 7, side 4, overlap 0.5
        windows    a a a a
                       b b b b          start 2, of 1.5
                         c c c c

    Weights are Gaussian and scaled to sum to 1 at every voxel of the axis, so that products of the weights of three
    axes sum to 1 at every voxel of a volume: nothing is left to divide by. No weight is 0.

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


def _box(window, sides: Sequence[int]) -> tuple[slice, ...]:
    """The box of `sides` at the three starts of `window`."""
    return tuple(slice(start, start + side) for (start, _), side in zip(window, sides))


def activation_bytes(network: nn.Module, sides: Sequence[int]) -> int:
    """Estimate of the memory that a network takes, beside its weights, for one input of `sides`.

    Twice the most that input and output of one of its layers take together: what a layer needs, and as much again for
    connections that skip it and for convolutions that rearrange their input. The network runs on PyTorch's meta device,
    which knows shapes but no numbers: it takes milliseconds, and no memory.
    """
    shapes_only = copy.deepcopy(network).to("meta")
    largest = 0

    def compare(layer, inputs, output):
        nonlocal largest
        largest = max(largest, sum(tensor.nbytes for tensor in (*inputs, output)))

    for layer in shapes_only.modules():
        if not list(layer.children()):
            layer.register_forward_hook(compare)
    shapes_only(torch.empty(1, 1, *sides, device="meta"))
    return 2 * largest
