"""Slice planes, given by the array axis (z, y, x) normal to the slices, and their selection for a volume."""

from collections.abc import Sequence

_FEWEST_VOXELS = 2  # per side of a slice: a slice that is one voxel wide is a line and shows no shape


def planes_of(shape: Sequence[int], planes: Sequence[int]) -> tuple[int, ...]:
    """Return the `planes` whose slices of a volume (z, y, x) are not lines, or all planes if every slice is a line.

    shape (1, 48, 48):   axial slices are 48 x 48, coronal and sagittal slices 1 x 48, so only axial is returned
    """
    suited = tuple(
        plane for plane in planes if min(side for axis, side in enumerate(shape) if axis != plane) >= _FEWEST_VOXELS
    )
    return suited or tuple(planes)
