"""Whole volumes through a network of planes."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional

# Slices are run together up to this many pixels: below it, calls cost more than arithmetic; above it, caches overflow.
_PIXELS_AT_ONCE = 60_000


@torch.inference_mode()
def predict_volume(
    network: Callable[[torch.Tensor], torch.Tensor],
    volume: np.ndarray,
    outside: float,
    margin: int,
    planes: Sequence[int],
    number_of_classes: int,
    device: torch.device,
) -> np.ndarray:
    """Class probabilities of every voxel: the mean over the planes of the softmax of the network's logits.

    Args:
        network: from (n, 1, rows, columns) to logits (n, classes, rows - 2 margin, columns - 2 margin).
        volume: float32 (z, y, x), normalized.
        outside: value of what lies around the volume.
        margin: voxels that the network reads beyond each side of what it classifies.
        planes: array axes along which slices are taken, each slice once.

    Returns:
        float32 (classes, z, y, x), summing to 1.
    """
    total = np.zeros((number_of_classes, *volume.shape), np.float32)
    for axis in planes:
        slices = np.moveaxis(volume, axis, 0)
        # A view: what is added to it is added to `total`.
        target = np.moveaxis(total, axis + 1, 1)
        pixels = (slices.shape[1] + 2 * margin) * (slices.shape[2] + 2 * margin)
        step = max(1, _PIXELS_AT_ONCE // pixels)
        for first in range(0, len(slices), step):
            image = torch.from_numpy(np.ascontiguousarray(slices[first : first + step]))[:, None].to(device)
            image = functional.pad(image, [margin] * 4, value=outside)
            logits = network(image.contiguous(memory_format=torch.channels_last))
            probabilities = logits.softmax(dim=1).movedim(1, 0).cpu().numpy()
            target[:, first : first + step] += probabilities
    total /= len(planes)
    return total
