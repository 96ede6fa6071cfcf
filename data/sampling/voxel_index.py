"""Groups of voxels from which patches are drawn, and an index for uniform draws from a group."""

import itertools

import numpy as np
from scipy import ndimage

from base.label_classes import IGNORED


class VoxelIndex:
    """Voxels of each group of one volume, as runs (sequences of voxels of one group along x).

    A volume has far fewer runs than voxels. A uniform draw is a binary search among the runs of a group; its time does
    not depend on how rare the group is.

    Args:
        shape: of the volume, (z, y, x).
        starts: int64 (runs,), flat index of the first voxel of each run, in the order of the groups.
        ends: int64 (runs,), cumulative number of voxels within the group, including this run.
        bounds: index of the first run of each group, followed by the number of runs.
    """

    def __init__(self, shape: tuple[int, ...], starts: np.ndarray, ends: np.ndarray, bounds: list[int]):
        self._shape = tuple(shape)
        self._runs = [(starts[low:high], ends[low:high]) for low, high in itertools.pairwise(bounds)]
        self.counts = np.array([int(ends[high - 1]) if high > low else 0 for low, high in itertools.pairwise(bounds)])

    def voxel(self, group: int, number: int) -> tuple[int, int, int]:
        """Return the position (z, y, x) of voxel `number`, from 0 to ``counts[group] - 1``, of a group."""
        starts, ends = self._runs[group]
        run = int(ends.searchsorted(number, side="right"))
        flat = int(starts[run]) + number - (int(ends[run - 1]) if run else 0)
        _, rows, columns = self._shape
        row, x = divmod(flat, columns)
        return *divmod(row, rows), x


def find_runs(groups: np.ndarray, number_of_groups: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Return `starts`, `ends` and `bounds` of the `VoxelIndex` of `groups`, uint8 (z, y, x)."""
    flat = groups.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(starts, append=flat.size)
    found = [np.flatnonzero(flat[starts] == group) for group in range(number_of_groups)]
    bounds = [0, *np.cumsum([len(runs) for runs in found]).tolist()]
    return starts[np.concatenate(found)], np.concatenate([np.cumsum(lengths[runs]) for runs in found]), bounds


def groups_of_voxels(
    classes: np.ndarray, number_of_classes: int, apart: int | None = None, around: int | None = None
) -> np.ndarray:
    """Return the group of each voxel, uint8 (z, y, x): its class, or `IGNORED` if it is not drawn.

    Args:
        apart: background voxels at least this far (chessboard distance, in voxels) from the foreground are a group of
            their own, after the classes.
        around: only voxels in the bounding box of the foreground, enlarged by this number of voxels, are drawn.
    """
    foreground = (classes > 0) & (classes != IGNORED)
    groups = classes
    if apart is not None:
        distance = ndimage.distance_transform_cdt(~foreground, "chessboard") if foreground.any() else np.inf
        groups = np.where((classes == 0) & (distance >= apart), np.uint8(number_of_classes), groups)
    if around is not None and foreground.any():
        (box,) = ndimage.find_objects(foreground.astype(np.uint8))
        inside = tuple(slice(max(0, one.start - around), one.stop + around) for one in box)
        cropped = np.full_like(groups, IGNORED)
        cropped[inside] = groups[inside]
        groups = cropped
    return groups
