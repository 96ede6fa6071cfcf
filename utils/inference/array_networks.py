"""What inference asks of a network: a function from arrays to arrays, whatever computes it."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class ArrayNetwork(Protocol):
    """A network from images to probabilities, and to the uncertainty where it is predicted.

    Attributes:
        voxels_at_once: images run together up to this many voxels. Below it, calls cost more than arithmetic; above
            it, caches overflow and, on a GPU, its memory might.
    """

    voxels_at_once: int

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return probabilities, float32 (n, outputs, sides...), of images, float32 (n, channels, sides...).

        For networks that pad.
        """

    def activation_bytes(self, channels: int, sides: Sequence[int]) -> float:
        """Estimate the memory in bytes that one image takes, beside the weights; for networks that pad."""

    def for_padding_values(self, values: np.ndarray) -> "ValidNetwork":
        """Return the network for images padded with `values` (channels,); for networks of valid convolutions."""


class ValidNetwork(Protocol):
    """A network of valid convolutions, on images that are padded with one value a channel.

    Attributes:
        margin: half of the receptive field, in voxels.
        constant: float32 (outputs,), the probabilities of a voxel whose receptive field holds only the padding values.
    """

    margin: int
    constant: np.ndarray

    def activation_bytes(self, sides: Sequence[int]) -> float:
        """Estimate the memory in bytes that classifying a box of these sides takes at most, beside the weights."""

    def __call__(self, images: np.ndarray, wanted: Sequence[slice]) -> np.ndarray:
        """Return probabilities, float32 (n, outputs, sides of `wanted`...), of images, float32 (n, channels, sides...).

        Args:
            wanted: for each axis, the voxels to classify, relative to the first voxel of the images; they may extend
                beyond the images by up to `margin` at both ends. Where they end more than `margin` voxels inside the
                images, the voxels beyond the images have no influence.
        """
