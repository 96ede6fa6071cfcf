"""Crop images, with padding where the box reaches beyond them."""

from collections.abc import Sequence

import numpy as np


def crop(images: np.ndarray, box: Sequence[slice], padding_value: float) -> np.ndarray:
    """Copy the `box` of each of `images` (n, sides...), padded with `padding_value` beyond the images.

    image      0 1 2 3 4
    box    . . 0 1 2              slice(-2, 3)
    """
    low = [max(part.start, 0) for part in box]
    high = [min(part.stop, side) for part, side in zip(box, images.shape[1:])]
    parts = np.full((len(images), *(part.stop - part.start for part in box)), padding_value, images.dtype)
    if all(a < b for a, b in zip(low, high)):
        inside = tuple(slice(a - part.start, b - part.start) for a, b, part in zip(low, high, box))
        parts[(slice(None), *inside)] = images[(slice(None), *(slice(a, b) for a, b in zip(low, high)))]
    return parts
