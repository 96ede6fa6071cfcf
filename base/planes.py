"""Planes of slices: array axes (z, y, x) along a slice's normal, and which of them suit a volume."""

from collections.abc import Sequence

FEWEST_VOXELS = 8  # half the side of a usual sample area; shorter slices are lines to a network


def planes_of(shape: Sequence[int], planes: Sequence[int]) -> tuple[int, ...]:
    """Those of `planes` whose slices of a volume (z, y, x) are not thin: a few voxels wide, or one.

    Where all are, those whose shorter side is longest.

        shape 1, 48, 48:   axial slices of 48 x 48, coronal and sagittal ones of 1 x 48: axial
        shape 3, 6, 5:     axial slices of 6 x 5, coronal ones of 3 x 5, sagittal ones of 3 x 6: axial
    """
    shorter = {plane: min(side for axis, side in enumerate(shape) if axis != plane) for plane in planes}
    fewest = min(FEWEST_VOXELS, max(shorter.values(), default=0))
    return tuple(plane for plane in planes if shorter[plane] >= fewest)
