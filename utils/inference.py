"""Whole volumes through a network: the predictor that suits it, and the one for networks of planes."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from utils.window_inference import WindowPredictor

# Slices are run together up to this many pixels: below it, calls cost more than arithmetic; above it, caches overflow.
_PIXELS_AT_ONCE = 60_000


def predictor_of(
    network: nn.Module,
    device: torch.device,
    *,
    dimensions: int,
    pads: bool,
    margin: int,
    planes: Sequence[int],
    window: int,
    number_of_classes: int,
    overlap: float = 0.5,
    memory_limit_bytes: int = 4 * 2**30,
) -> Callable[[np.ndarray, float], np.ndarray]:
    """What predicts whole volumes with `network`.

    Args:
        dimensions: of what the network reads: 2 (slices) or 3 (volumes).
        pads: whether the network pads, so that its answer depends on where it is given the volume's borders.
        margin: voxels that it reads beyond each side of what it classifies; 0 if it pads.
        planes: array axes along which slices are taken, for 2 dimensions.
        window: side of the volumes that it was trained on, for 3 dimensions.
        overlap: share of a window's side that the next one covers too, where a padding network needs windows.
        memory_limit_bytes: what the activations of one pass through a network of volumes may take.

    Returns:
        From a volume, float32 (z, y, x), normalized, and the value of what lies around it to class probabilities,
        float32 (classes, z, y, x), summing to 1.
    """
    if dimensions == 2:
        return VolumePredictor(network, margin, planes, number_of_classes, device)
    if not pads:  # windows side by side, of any size, give the answer of the whole volume
        window, overlap = None, 0.0
    return WindowPredictor(network, margin, window, number_of_classes, device, overlap, memory_limit_bytes)


class VolumePredictor:
    """Predicts volumes with one network of planes.

    Args:
        network: from (n, 1, rows, columns) to logits (n, classes, rows - 2 margin, columns - 2 margin).
        margin: voxels that the network reads beyond each side of what it classifies.
        planes: array axes along which slices are taken, each slice once.
    """

    def __init__(
        self, network: nn.Module, margin: int, planes: Sequence[int], number_of_classes: int, device: torch.device
    ):
        self._network = network.to(device, memory_format=torch.channels_last).eval()
        self._margin = margin
        self._planes = planes
        self._number_of_classes = number_of_classes
        self._device = device

    @torch.inference_mode()
    def __call__(self, volume: np.ndarray, outside: float) -> np.ndarray:
        """Class probabilities: the mean over the planes of the softmax of the network's logits.

        Args:
            volume: float32 (z, y, x), normalized.
            outside: value of what lies around the volume.

        Returns:
            float32 (classes, z, y, x), summing to 1.
        """
        total = np.zeros((self._number_of_classes, *volume.shape), np.float32)
        for axis in self._planes:
            slices = np.moveaxis(volume, axis, 0)
            target = np.moveaxis(total, axis + 1, 1)  # a view: what is added to it is added to `total`
            sides = (side + 2 * self._margin for side in slices.shape[1:])
            step = max(1, _PIXELS_AT_ONCE // math.prod(sides))
            for first in range(0, len(slices), step):
                part = np.ascontiguousarray(slices[first : first + step])
                target[:, first : first + step] += self._probabilities(part, outside)
        total /= len(self._planes)
        return total

    def _probabilities(self, slices: np.ndarray, outside: float) -> np.ndarray:
        """Probabilities (classes, n, rows, columns) of `slices` (n, rows, columns)."""
        image = torch.from_numpy(slices)[:, None].to(self._device)
        image = functional.pad(image, [self._margin] * 4, value=outside)
        logits = self._network(image.contiguous(memory_format=torch.channels_last))
        return logits.softmax(dim=1).movedim(1, 0).cpu().numpy()
