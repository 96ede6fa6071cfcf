"""Exported networks (ONNX) as functions from arrays to arrays."""

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from base.padding import voxels_to_add
from utils.inference.crop import crop

Run = Callable[[np.ndarray], np.ndarray]  # images to probabilities, float32, as the graph defines them

_VOXELS_AT_ONCE = 60_000  # of images that run together
_RING = 1  # voxels around an image, from which the graph knows the padding values


class OnnxNetwork:
    """A network of an exported graph; see `utils.inference.array_networks.ArrayNetwork`.

    Args:
        run: runs the graph.
        dimensions: of the images.
        multiple: that the sides of images must be, at least twice it; 1 for any sides.
        margin: voxels that a graph of valid convolutions answers beyond each end of an axis.
        activation_bytes_per_voxel: memory of one pass, per voxel of the input.
    """

    voxels_at_once = _VOXELS_AT_ONCE

    def __init__(self, run: Run, dimensions: int, multiple: int, margin: int, activation_bytes_per_voxel: float):
        self._run = run
        self._dimensions = dimensions
        self._multiple = multiple
        self._margin = margin
        self._bytes_per_voxel = activation_bytes_per_voxel

    def __call__(self, images: np.ndarray) -> np.ndarray:
        sides = images.shape[2:]
        amounts = [self._added(side) for side in sides]
        if any(map(any, amounts)):
            images = np.pad(images, [(0, 0), (0, 0), *amounts], mode="edge")
        answers = self._run(images)
        return answers[(..., *(slice(before, before + side) for (before, _), side in zip(amounts, sides)))]

    def activation_bytes(self, channels: int, sides: Sequence[int]) -> float:
        return self._bytes_per_voxel * prod(side + sum(self._added(side)) for side in sides)

    def for_padding_values(self, values: np.ndarray) -> "ValidOnnxNetwork":
        return ValidOnnxNetwork(self._run, self._dimensions, self._margin, values, self._bytes_per_voxel)

    def _added(self, side: int) -> tuple[int, int]:
        return voxels_to_add(side, self._multiple) if self._multiple > 1 else (0, 0)


class ValidOnnxNetwork:
    """A graph of valid convolutions, for padding values; see `utils.inference.array_networks.ValidNetwork`."""

    def __init__(self, run: Run, dimensions: int, margin: int, padding_values: np.ndarray, bytes_per_voxel: float):
        self._run = run
        self._padding_values = np.float32(padding_values)
        self.margin = margin
        self._bytes_per_voxel = bytes_per_voxel
        voxel = self._padding_values.reshape(1, -1, *[1] * dimensions)
        self.constant = self(voxel, [slice(0, 1)] * dimensions).reshape(-1)

    def activation_bytes(self, sides: Sequence[int]) -> float:
        return self._bytes_per_voxel * prod(side + 4 * self.margin for side in sides)

    def __call__(self, images: np.ndarray, wanted: Sequence[slice]) -> np.ndarray:
        sides = images.shape[2:]
        answers = self._run(crop(images, [slice(-_RING, side + _RING) for side in sides], self._padding_values))
        before = _RING + self.margin
        return answers[(..., *(slice(part.start + before, part.stop + before) for part in wanted))]
