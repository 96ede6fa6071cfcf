"""Whole volumes through a network of slices or of volumes."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from base.planes import planes_of
from utils.inference.forward import Classifier
from utils.inference.slice_boxes import SliceBoxes
from utils.inference.valid_tiles import Seamless
from utils.inference.windows import VOXELS_AT_ONCE, Windows
from utils.runtime.memory_layout import arranged
from utils.runtime.resident_memory import FreeMemory

_SLICES_BESIDE = 16  # at least: a line of a processor's cache holds as many voxels


def predictor_of(
    network: nn.Module,
    device: torch.device,
    *,
    dimensions: int,
    pads: bool,
    fixed_size: bool,
    planes: Sequence[int],
    window: int,
    number_of_classes: int,
    predicts_uncertainty: bool = False,
    overlap: float = 0.5,
    memory_limit_bytes: float = 4 * 2**30,
    precision: str = "fp32",
    compiled: bool = False,
) -> "VolumePredictor":
    """What predicts whole volumes with `network`, in the way that suits it.

    A network that pads nothing answers alike however the volume is cut; it has a method `in_surroundings`. One that
    pads is unsure at the borders of what it is given: it is given all if memory allows, else windows that overlap. One
    that also normalizes over what it is given answers well only at the size that it was trained on: always windows.

    Args:
        dimensions: of what the network reads: 2 (slices) or 3 (volumes).
        pads: whether the network pads its input.
        fixed_size: whether it answers well only at the size that it was trained on.
        planes: array axes along which slices are taken; without meaning for 3 dimensions.
        window: side of what the network was trained to classify.
        predicts_uncertainty: whether its outputs have one channel more than classes.
        overlap: share of a window's side that the next one covers too, at least, where there are windows.
        memory_limit_bytes: what the activations of one pass over a volume may take; slices always fit.
        precision: of the network's arithmetic, ``fp32`` or ``bf16``.
        compiled: whether PyTorch compiles the network when it first runs; one that pads nothing takes another way.
    """
    network = arranged(network.to(device)).eval()
    if compiled and pads:
        network.compile()
    classifier = Classifier(device, number_of_classes, precision)
    if dimensions == 2:
        memory_limit_bytes = math.inf

    def seamless(outside: float) -> Seamless:
        return Seamless(network.in_surroundings(outside), outside, classifier, memory_limit_bytes)

    def windows(outside: float) -> Windows:
        return Windows(network, outside, classifier, window, overlap, 0 if fixed_size else memory_limit_bytes)

    channels = number_of_classes + predicts_uncertainty
    return VolumePredictor(windows if pads else seamless, planes if dimensions == 2 else None, channels, device)


class VolumePredictor:
    """Predicts volumes with one network.

    Args:
        ways: gives, for the value of what lies around a volume, the way in which images go through the network.
        planes: array axes along which slices are taken, each slice once; None for a network of volumes.
        number_of_channels: of what comes back: classes, and the uncertainty if it is predicted.
    """

    def __init__(
        self,
        ways: Callable[[float], Seamless | Windows],
        planes: Sequence[int] | None,
        number_of_channels: int,
        device: torch.device,
    ):
        self._ways = ways
        self._planes = planes
        self._number_of_channels = number_of_channels
        self._slice_voxels_at_once = VOXELS_AT_ONCE[device.type]
        self._free_memory = FreeMemory()

    @torch.inference_mode()
    def __call__(self, volume: np.ndarray, outside: float, mask: np.ndarray | None = None) -> np.ndarray:
        """Class probabilities: the mean over planes and windows of the softmax of the network's logits.

        Windows count most in their middles (Gaussian weights), planes all the same, but for those whose slices are
        lines (see `planes_of`): they are left out.

        Args:
            volume: float32 (z, y, x), normalized.
            outside: value of what lies around the volume.
            mask: boolean (z, y, x), where to classify; beyond it all is surely background. None: everywhere.

        Returns:
            float32 (classes, z, y, x), summing to 1; after them the uncertainty, if it is predicted.
        """
        way = self._ways(outside)
        content = SliceBoxes(volume.shape, volume != np.float32(outside))
        wanted = SliceBoxes(volume.shape, mask)
        total = np.zeros((self._number_of_channels, *volume.shape), np.float32)
        if self._planes is None:
            way.fill(volume[None], content.whole(), wanted.whole(), total[:, None])
        else:
            planes = planes_of(volume.shape, self._planes)
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
        way: Seamless | Windows,
        axis: int,
        volume: np.ndarray,
        content: SliceBoxes,
        wanted: SliceBoxes,
        total: np.ndarray,
    ) -> None:
        """Add to `total` what the network says of the slices along `axis`.

        Some slices lie side by side in memory while they are looked at: along the last axis, one voxel of each would
        otherwise be fetched at a time.
        """
        stack, target = np.moveaxis(volume, axis, 0), np.moveaxis(total, axis + 1, 1)
        at_once = max(1, self._slice_voxels_at_once // stack[0].size)
        beside = at_once * -(-_SLICES_BESIDE // at_once)  # whole groups
        for start in range(0, len(stack), beside):
            images = np.ascontiguousarray(stack[start : start + beside])
            answers = np.zeros((len(total), *images.shape), np.float32)
            for first in range(0, len(images), at_once):
                group = slice(first, min(first + at_once, len(images)))
                boxes = (boxes.of(axis, start + group.start, start + group.stop) for boxes in (content, wanted))
                way.fill(images[group], *boxes, answers[:, group])
            target[:, start : start + len(images)] += answers
