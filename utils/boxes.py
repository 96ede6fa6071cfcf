"""Boxes around masks, so that heavy work is done only where there is something."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

Box = tuple[slice, slice, slice]


def bounding_box(mask: np.ndarray, margin: Sequence[int] = (0, 0, 0)) -> Box:
    """The smallest box that holds boolean `mask` (z, y, x), grown by `margin` voxels (z, y, x) inside the volume.

    Of an empty mask it is an empty box.
    """
    (box,) = ndimage.find_objects(mask.view(np.uint8), max_label=1)
    if box is None:
        return (slice(0, 0),) * 3
    return tuple(slice(max(0, part.start - more), part.stop + more) for part, more in zip(box, margin))
