"""Bounding boxes of a mask in the slices of a volume, along every axis."""

from collections.abc import Sequence

import numpy as np

from base.boxes import Box


class SliceBoxes:
    """Finds boxes of a boolean mask (z, y, x); without one, of a volume of `shape` that is marked everywhere."""

    def __init__(self, shape: Sequence[int], mask: np.ndarray | None = None):
        self._shape = tuple(shape)
        self._projections = None if mask is None else [mask.any(axis=axis) for axis in range(3)]

    def whole(self) -> Box | None:
        """Return the smallest box (z, y, x) around all marked voxels; None without any."""
        in_axial, in_coronal = self.of(0, 0, self._shape[0]), self.of(1, 0, self._shape[1])
        return None if in_axial is None else (in_coronal[0], *in_axial)

    def of(self, axis: int, first: int, stop: int) -> Box | None:
        """Return the smallest box, in the other axes, of marked voxels in slices `first` to `stop` - 1 of `axis`."""
        others = [other for other in range(3) if other != axis]
        if self._projections is None:
            return tuple(slice(0, self._shape[other]) for other in others)
        spans = []
        for other in others:
            marked = self._projections[3 - axis - other]  # (axis, other), or the other way round
            marked = (marked if axis < other else marked.T)[first:stop].any(axis=0)
            if not marked.any():
                return None
            spans.append(slice(int(marked.argmax()), len(marked) - int(marked[::-1].argmax())))
        return tuple(spans)
