"""Planes of slices: array axes (z, y, x) along a slice's normal, and which of them suit a volume."""

from collections.abc import Sequence

_FEWEST_VOXELS = 2  # across a slice: one of a single voxel is a line, in which a network sees nothing of a shape


def planes_of(shape: Sequence[int], planes: Sequence[int]) -> tuple[int, ...]:
    """Return those of `planes` whose slices of a volume (z, y, x) are no lines; all, where all are.

    shape 1, 48, 48:   axial slices of 48 x 48, coronal and sagittal ones of 1 x 48: axial
    """
    suited = tuple(
        plane for plane in planes if min(side for axis, side in enumerate(shape) if axis != plane) >= _FEWEST_VOXELS
    )
    return suited or tuple(planes)
