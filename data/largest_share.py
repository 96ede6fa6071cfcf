"""Which of several shares is the largest once all are interpolated linearly from one grid to another.

Where the eight voxels around a point agree on the largest share, it stays the largest whatever their weights are. So
only the others, near boundaries, are interpolated at all, a plane at a time.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from data.image_files import Grid

# From a plane of the old grid, and flat indices into it, to the values of one share there.
Share = Callable[[int, np.ndarray], np.ndarray]

_OPEN = 255  # what marks the points around which voxels do not agree


def largest_share(leading: np.ndarray, shares: Sequence[tuple[int, Share]], old: Grid, new: Grid) -> np.ndarray:
    """Number of the largest linearly interpolated share at each voxel of `new`, uint8 (z, y, x).

    Beyond the outermost voxel centres the outermost values go on.

    Args:
        leading: number (at most 254) of the largest share at each voxel of `old`, uint8 (z, y, x).
        shares: each number, and what gives the values of that share; of equally large ones the first wins.
        old, new: grids whose axes have the same directions.
    """
    result = np.empty(new.shape, np.uint8)
    along_z, along_y, along_x = (_neighbours(at, size) for at, size in zip(old.indices_of(new), old.shape))
    for plane, *beside in zip(result, *along_z):
        agreed = _agreed(leading[beside[0]], leading[beside[1]])
        plane[:] = agreed.take(along_y[0], axis=0).take(along_x[0], axis=1)
        rows, columns = np.nonzero(plane == _OPEN)
        if rows.size:
            around = [beside, [part[rows] for part in along_y], [part[columns] for part in along_x]]
            plane[rows, columns] = _largest(shares, around, old.shape[2])
    return result


def _neighbours(at: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The voxels before and after each place along an axis of `size` voxels, and the weight of the latter."""
    at = np.clip(at, 0, size - 1)
    before = np.minimum(at.astype(int), max(size - 2, 0))
    return before, np.minimum(before + 1, size - 1), at - before


def _agreed(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """What the voxels of two planes, and the next ones along both axes of the planes, agree on; else `_OPEN`."""
    agreed = np.where(first == second, first, np.uint8(_OPEN))
    for here, following in ((agreed[:-1], agreed[1:]), (agreed[:, :-1], agreed[:, 1:])):
        here[here != following] = _OPEN
    return agreed


def _largest(shares: Sequence[tuple[int, Share]], around: Sequence[Sequence], width: int) -> np.ndarray:
    """Number of the largest share at some points of one plane, uint8 (points,).

    Args:
        around: for each axis (z, y, x) the voxels before and after each point, and the weight of the latter.
        width: of a plane, in voxels along x.
    """
    ends = [((before, 1 - weight), (after, weight)) for before, after, weight in around]
    corners = [
        (z, y * width + x, of_z * of_y * of_x) for (z, of_z), (y, of_y), (x, of_x) in itertools.product(*ends)
    ]
    best, winner = np.float32(-1), np.uint8(0)
    for number, share in shares:
        # In single precision shares that are equal are so, whatever the order of the sum.
        value = sum(weight * share(z, at) for z, at, weight in corners).astype(np.float32)
        winner = np.where(value > best, np.uint8(number), winner)
        best = np.maximum(best, value)
    return winner
