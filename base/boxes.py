"""Boxes around masks, so that heavy work is done only where there is something."""

from collections.abc import Sequence

import numpy as np

Box = tuple[slice, ...]  # one slice for each axis


def bounding_box(mask: np.ndarray, margin: Sequence[int] = (0, 0, 0)) -> Box:
    """The smallest box that holds all of `mask` (z, y, x) that is not 0, grown by `margin` voxels inside the volume.

    Of an empty mask it is an empty box.
    """
    box = [slice(None)] * 3
    for axis in range(3):  # each time in what the axes before have left
        found = np.flatnonzero(mask[tuple(box)].any(axis=tuple(other for other in range(3) if other != axis)))
        if not found.size:
            return (slice(0, 0),) * 3
        box[axis] = slice(int(found[0]), int(found[-1]) + 1)
    return tuple(slice(max(0, part.start - more), part.stop + more) for part, more in zip(box, margin))
