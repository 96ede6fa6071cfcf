"""Slices of a case that its overlay shows: where the prediction is most wrong or doubtful, and the busiest."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from base.boxes import Box, bounding_box
from base.label_classes import IGNORED
from utils.evaluation.case_measures import Segmentation
from utils.evaluation.metrics import farthest_surface_voxel

_LONG = 2.5  # times the shortest side of a voxel: so thick is no thin rim

Slices = tuple[int, int, int]  # one position along each axis (z, y, x)


@dataclass(frozen=True)
class DoubtMap:
    """Map of how doubtful a prediction is, such as the disagreement between members, usually on a coarser grid.

    Attributes:
        name: what it shows, for the picture.
        values: float (z, y, x), 0 for no doubt.
        nearest: for each axis (z, y, x) of the scan, the index in `values` nearest to each voxel, int (voxels,).
    """

    name: str
    values: np.ndarray
    nearest: tuple[np.ndarray, np.ndarray, np.ndarray]

    def slice_at(self, axis: int, position: int) -> np.ndarray:
        """Return the slice of the scan's grid at `position` along `axis`."""
        section = self.values.take(self.nearest[axis][position], axis)
        rows, columns = (nearest for other, nearest in enumerate(self.nearest) if other != axis)
        return section[np.ix_(rows, columns)]

    def most_doubtful(self) -> Slices | None:
        """Return the slices with the largest sum; None if there is no doubt."""
        if not self.values.any():
            return None
        sums = (self.values.sum(axis=_others(axis), dtype=np.float64) for axis in range(3))
        return tuple(int(some[nearest].argmax()) for some, nearest in zip(sums, self.nearest))


class Errors(NamedTuple):
    """Wrong voxels of a prediction: boolean `mask` within `box`, voxels of `spacing_mm` (z, y, x)."""

    mask: np.ndarray
    box: Box
    spacing_mm: tuple[float, ...]


def errors_of(segmentation: Segmentation) -> Errors | None:
    """Return the voxels whose label differs from the reference's; None without a reference. Unannotated ones do not."""
    prediction, reference = segmentation.prediction, segmentation.reference
    if reference is None:
        return None
    box = bounding_box(prediction | reference)
    return Errors((prediction[box] != reference[box]) & (reference[box] != IGNORED), box, segmentation.spacing_mm)


def most_wrong_slices(errors: Errors) -> Slices | None:
    """Return, for each axis, the slice with the most wrong voxels; None without any.

    Rims one or two voxels wide along the boundaries, which nearly every case has, count only where there is nothing
    wider: voxels are counted that remain after an erosion along the axes of short voxels.
    """
    if not errors.mask.any():
        return None
    cross = ndimage.generate_binary_structure(3, 1)
    for axis, mm in enumerate(errors.spacing_mm):
        if mm > _LONG * min(errors.spacing_mm):
            cross[tuple(slice(None, None, 2) if other == axis else 1 for other in range(3))] = False
    wide = ndimage.binary_erosion(errors.mask, cross)
    counted = wide if wide.any() else errors.mask
    sums = (counted.sum(axis=_others(axis)) for axis in range(3))
    return tuple(part.start + int(some.argmax()) for part, some in zip(errors.box, sums))


def farthest_error(segmentation: Segmentation, label: int) -> tuple[Slices, float] | None:
    """Return the voxel of the Hausdorff distance of a class, and that distance in mm.

    None without a reference that is annotated everywhere, or if the class is not in both prediction and reference.
    """
    prediction, reference = segmentation.prediction, segmentation.reference
    if reference is None or segmentation.annotated is not None:
        return None
    box = bounding_box(prediction | reference)
    found = farthest_surface_voxel(prediction[box] == label, reference[box] == label, segmentation.spacing_mm)
    return found and (tuple(part.start + place for part, place in zip(box, found[0])), found[1])


def busiest_slices(labels: np.ndarray) -> Slices:
    """Return the slice with the most foreground along each axis; the middle slice without foreground."""
    box = bounding_box(labels)
    foreground = labels[box] > 0
    if not foreground.size:
        return tuple(size // 2 for size in labels.shape)
    return tuple(part.start + int(foreground.sum(axis=_others(axis)).argmax()) for axis, part in enumerate(box))


def _others(axis: int) -> tuple[int, ...]:
    return tuple(other for other in range(3) if other != axis)
