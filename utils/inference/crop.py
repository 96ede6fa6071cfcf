"""Crop images, with padding where the box reaches beyond them."""

from collections.abc import Sequence

import numpy as np


def crop(images: np.ndarray, box: Sequence[slice], padding_values: np.ndarray) -> np.ndarray:
    """Copy the `box` of each of `images` (n, channels, sides...), padded beyond the images.

    image      0 1 2 3 4
    box    . . 0 1 2              slice(-2, 3)

    Args:
        padding_values: (channels,).
    """
    low = [max(part.start, 0) for part in box]
    high = [min(part.stop, side) for part, side in zip(box, images.shape[2:])]
    parts = np.empty((*images.shape[:2], *(part.stop - part.start for part in box)), images.dtype)
    parts[:] = np.reshape(padding_values, (-1, *[1] * len(box)))
    if all(a < b for a, b in zip(low, high)):
        inside = tuple(slice(a - part.start, b - part.start) for a, b, part in zip(low, high, box))
        parts[(..., *inside)] = images[(..., *(slice(a, b) for a, b in zip(low, high)))]
    return parts
