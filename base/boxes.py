"""Bounding boxes of masks, which restrict expensive computations to the voxels that matter."""

from collections.abc import Sequence

import numpy as np

Box = tuple[slice, ...]  # one slice per axis


def bounding_box(mask: np.ndarray, margin: Sequence[int] = (0, 0, 0)) -> Box:
    """Return the smallest box around the nonzero voxels of `mask` (z, y, x), grown by `margin` voxels.

    The start of the box is clipped to the volume (slicing clips its end). It is empty if the mask is empty.
    """
    box = [slice(None)] * 3
    for axis in range(3):  # search only inside the box found along the previous axes
        found = np.flatnonzero(mask[tuple(box)].any(axis=tuple(other for other in range(3) if other != axis)))
        if not found.size:
            return (slice(0, 0),) * 3
        box[axis] = slice(int(found[0]), int(found[-1]) + 1)
    return tuple(slice(max(0, part.start - voxels), part.stop + voxels) for part, voxels in zip(box, margin))
