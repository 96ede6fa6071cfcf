"""Inference on whole volumes, with networks of slices or of volumes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from base.planes import planes_of
from utils.inference.array_networks import ArrayNetwork
from utils.inference.mirrored_views import MirroredViews, mirrorings
from utils.inference.slice_boxes import SliceBoxes
from utils.inference.valid_tiles import ValidTiles
from utils.inference.windows import SlidingWindows
from utils.runtime.resident_memory import FreeMemory

_SLICES_BESIDE = 16  # at least: a line of a processor's cache holds as many voxels


class Described(Protocol):
    """Properties of a network that inference depends on; `networks.description.NetworkDescription` has them.

    Attributes:
        dimensions: of the input: 2 (slices) or 3 (volumes).
        pads: whether the network pads its input.
        fixed_size: whether it classifies well only at the size that it was trained on.
        planes: array axes along which slices are taken; unused for 3 dimensions.
        sample_size: side of the area that it was trained to classify, in voxels.
        number_of_classes: number of output channels that are logits of classes.
        predicts_uncertainty: whether the output has one channel more than classes.
        mirrored_axes: array axes along which it was trained on mirrored images, too.
    """

    dimensions: int
    pads: bool
    fixed_size: bool
    planes: Sequence[int]
    sample_size: int
    number_of_classes: int
    predicts_uncertainty: bool
    mirrored_axes: Sequence[int]


@dataclass(frozen=True)
class InferenceOptions:
    """Options of inference on whole volumes.

    Attributes:
        overlap: least share of a sliding window's side that the next window covers, too.
        memory_limit_bytes: limit of the activations of one pass over a volume; slices always fit.
        views: number of mirrored views of a volume whose predictions are averaged; 1 for the volume alone.
    """

    overlap: float = 0.5
    memory_limit_bytes: float = 4e9
    views: int = 1


_DEFAULTS = InferenceOptions()


def predictor_of(
    network: ArrayNetwork, description: Described, options: InferenceOptions = _DEFAULTS
) -> "VolumePredictor | MirroredViews":
    """Return the predictor of whole volumes that suits `network`.

    A network of valid (unpadded) convolutions gives the same answers however the volume is cut; it has a method
    `for_padding_values`. A network that pads is less certain at the borders of its input: it reads the whole volume if
    memory allows, else overlapping sliding windows. One that also normalizes over its input classifies well only at
    the size that it was trained on: always sliding windows.

    Raises:
        ValueError: there are fewer views than asked for.
    """
    limit = math.inf if description.dimensions == 2 else options.memory_limit_bytes

    def valid_tiles(padding_values: np.ndarray) -> ValidTiles:
        return ValidTiles(network.for_padding_values(padding_values), padding_values, limit)

    def sliding_windows(padding_values: np.ndarray) -> SlidingWindows:
        whole = 0 if description.fixed_size else limit
        side = description.sample_size
        return SlidingWindows(network, padding_values, side, options.overlap, whole)

    way = sliding_windows if description.pads else valid_tiles
    outputs = description.number_of_classes + description.predicts_uncertainty
    planes = description.planes if description.dimensions == 2 else None
    predictor = VolumePredictor(way, planes, outputs, network.voxels_at_once)
    return predictor if options.views == 1 else MirroredViews(predictor, mirrorings(description, options.views))


class VolumePredictor:
    """Predicts volumes with one network.

    Args:
        ways: returns, for padding values (channels,), how images go through the network.
        planes: array axes along which slices are taken, each slice once; None for a network of volumes.
        number_of_outputs: classes, and the uncertainty if it is predicted.
        voxels_at_once: slices run together up to this many voxels.
    """

    def __init__(
        self,
        ways: Callable[[np.ndarray], ValidTiles | SlidingWindows],
        planes: Sequence[int] | None,
        number_of_outputs: int,
        voxels_at_once: int,
    ):
        self._ways = ways
        self._planes = planes
        self._number_of_outputs = number_of_outputs
        self._voxels_at_once = voxels_at_once
        self._free_memory = FreeMemory()

    def __call__(
        self, volume: np.ndarray, padding_values: Sequence[float], mask: np.ndarray | None = None
    ) -> np.ndarray:
        """Return class probabilities: the mean over planes and windows of the softmax of the network's logits.

        Windows count most in their middles (Gaussian weights). All planes count the same, except those whose slices
        are lines (see `planes_of`), which are left out.

        Args:
            volume: float32 (channels, z, y, x), normalized.
            padding_values: value, in each channel, of voxels beyond the volume.
            mask: boolean (z, y, x), where to classify; all other voxels are background. None: everywhere.

        Returns:
            float32 (classes, z, y, x), summing to 1; the uncertainty follows the classes, if it is predicted.
        """
        padding_values = np.float32(padding_values)
        way, shape = self._ways(padding_values), volume.shape[1:]
        content = SliceBoxes(shape, (volume != padding_values.reshape(-1, 1, 1, 1)).any(axis=0))
        wanted = SliceBoxes(shape, mask)
        total = np.zeros((self._number_of_outputs, *shape), np.float32)
        if self._planes is None:
            way.fill(volume[None], content.whole(), wanted.whole(), total[:, None])
        else:
            planes = planes_of(shape, self._planes)
            for axis in planes:
                self._add_plane(way, axis, volume, content, wanted, total)
            total /= len(planes)
        if mask is not None:
            total *= mask
            total[0] += ~mask
        self._free_memory.give_back()
        return total

    def _add_plane(
        self,
        way: ValidTiles | SlidingWindows,
        axis: int,
        volume: np.ndarray,
        content: SliceBoxes,
        wanted: SliceBoxes,
        total: np.ndarray,
    ) -> None:
        """Add the probabilities of the slices along `axis` to `total`.

        Some slices are copied to lie side by side in memory: along the last axis, one voxel of each would otherwise be
        fetched at a time.
        """
        stack, target = np.moveaxis(volume, axis + 1, 0), np.moveaxis(total, axis + 1, 1)
        at_once = max(1, self._voxels_at_once // stack[0, 0].size)
        beside = at_once * -(-_SLICES_BESIDE // at_once)  # whole groups
        for start in range(0, len(stack), beside):
            images = np.ascontiguousarray(stack[start : start + beside])
            answers = np.zeros((len(total), len(images), *images.shape[2:]), np.float32)
            for first in range(0, len(images), at_once):
                group = slice(first, min(first + at_once, len(images)))
                boxes = (boxes.of(axis, start + group.start, start + group.stop) for boxes in (content, wanted))
                way.fill(images[group], *boxes, answers[:, group])
            target[:, start : start + len(images)] += answers
