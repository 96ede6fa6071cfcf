"""Resampling from the original grid of a scan to a common voxel size, and back.

The new grid covers the same physical box as the old one: the corners are kept, the voxel centres move.

    old  |  .  |  .  |  .  |  .  |      4 voxels of 1.5 mm
    new  |    .    |    .    |  ..      6 mm hold 3 voxels of 2 mm
"""

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage, sparse, special

from base.argmax import argmax
from base.errors import InputError
from base.label_classes import IGNORED
from data.images.image_files import GRID_TOLERANCE, Grid, from_array

# Standard deviation of a Gaussian per unit of full width at half maximum.
SIGMA_PER_FWHM = 1 / (2 * np.sqrt(2 * np.log(2)))

_MOST_VOXELS = 2**30  # of a resampled image: 4 GiB of float32
_LONGEST_AXIS = 2**14
_LEAST_WEIGHT = 1e-7  # smaller weights are set to 0, because the support of a cubic spline is unbounded


VoxelSize = tuple[float | None, float | None, float | None] | None  # (x, y, z) in mm; None keeps a scan's own


def resampled_grid(grid: Grid, voxel_size_mm: VoxelSize) -> Grid:
    """Return a grid with voxels of `voxel_size_mm` over the physical box of `grid`; axes of None stay as they are."""
    if voxel_size_mm is None:
        return grid
    spacing = tuple(old if new is None else new for old, new in zip(grid.spacing, voxel_size_mm))
    size = [max(1, round(n * old / new)) for n, old, new in zip(grid.size, grid.spacing, spacing)]
    # The boxes are concentric, so that rounding of the size affects both ends equally.
    centre_shift = [
        (n_old - 1) / 2 * old - (n_new - 1) / 2 * new
        for n_old, old, n_new, new in zip(grid.size, grid.spacing, size, spacing)
    ]
    direction = np.reshape(grid.direction, (3, 3))
    origin = np.array(grid.origin) + direction @ centre_shift
    return Grid(tuple(size), spacing, tuple(origin.tolist()), grid.direction)


def checked_grid(path: Path, grid: Grid, voxel_size_mm: VoxelSize) -> Grid:
    """Return the `resampled_grid` of the scan at `path`; raise InputError if its voxels do not fit into memory."""
    sides_mm = [n * mm for n, mm in zip(grid.size, grid.spacing)]
    if voxel_size_mm:
        sizes_mm = [new or old for old, new in zip(grid.spacing, voxel_size_mm)]
        counts = [side / mm for side, mm in zip(sides_mm, sizes_mm)]
        if math.prod(max(1, n) for n in counts) > _MOST_VOXELS or max(counts) > _LONGEST_AXIS:
            sizes = " × ".join(f"{n:.0f}" for n in counts)
            box = " × ".join(f"{side:.4g}" for side in sides_mm)
            problem = f"would have {sizes} voxels, because its size is {box} mm"
            raise InputError(path, problem, "correct its voxel size, or choose a larger --voxel-size")
    return resampled_grid(grid, voxel_size_mm)


class _Interpolation:
    """Separable interpolation between grids of the same direction, with one sparse matrix (new, old) per axis.

    Beyond the outermost voxel centres, linear interpolation repeats the outermost value; cubic interpolation mirrors.
    """

    def __init__(self, old: Grid, new: Grid, order: int, variances: Iterable[float] = (0, 0, 0)):
        """Compute the matrices.

        Args:
            order: of the spline, 1 or 3.
            variances: of a Gaussian blur applied first, in squared voxels of the old grid (z, y, x).
        """
        self._along_z, self._along_y, self._along_x = (
            _matrix(size, at, order, variance) for size, at, variance in zip(old.shape, old.indices_of(new), variances)
        )

    def old_planes(self, z: int) -> np.ndarray:
        """Return the indices of the planes of the old grid that contribute to plane `z` of the new one."""
        return self._along_z.indices[slice(*self._along_z.indptr[z : z + 2])]

    def plane(self, z: int, old_plane: Callable[[int], np.ndarray]) -> np.ndarray:
        """Return plane `z` of the interpolated volume, float32 (y, x); `old_plane` returns planes of the old volume."""
        weights = self._along_z.data[slice(*self._along_z.indptr[z : z + 2])]
        return self._inside(sum(weight * old_plane(old) for weight, old in zip(weights, self.old_planes(z))))

    def volume(self, values: np.ndarray) -> np.ndarray:
        """Return the interpolated volume of `values` (z, y, x), float32 (z, y, x)."""
        planes = np.stack([self._inside(plane.astype(np.float32)) for plane in values])
        return (self._along_z @ planes.reshape(len(planes), -1)).reshape(-1, *planes.shape[1:])

    def read_for(self, mask: np.ndarray) -> np.ndarray:
        """Return which old voxels contribute to the new voxels of a `mask`; both boolean (z, y, x)."""
        read = np.zeros([along.shape[1] for along in (self._along_z, self._along_y, self._along_x)], bool)
        for z, plane in enumerate(mask):
            weights = (self._along_x.T @ (self._along_y.T @ plane.astype(np.float32)).T).T
            read[self.old_planes(z)] |= weights > 0
        return read

    def _inside(self, plane: np.ndarray) -> np.ndarray:
        return (self._along_x @ (self._along_y @ plane).T).T


def _matrix(size: int, at: np.ndarray, order: int, variance: float) -> sparse.csr_array:
    """Return the weights of `size` voxels in a row for the interpolated values `at` continuous indices, after a blur.

    The weights, float32 (len(at), size), are the impulse responses of the voxels.
    """
    impulses = np.eye(size)
    if variance:
        impulses = ndimage.correlate1d(impulses, _discrete_gaussian(variance), mode="nearest")
    mode = "nearest" if order == 1 else "mirror"
    weights = np.stack([ndimage.map_coordinates(row, [at], order=order, mode=mode) for row in impulses], axis=1)
    return sparse.csr_array(np.where(np.abs(weights) < _LEAST_WEIGHT, 0, weights).astype(np.float32))


def resample_image(image: sitk.Image, grid: Grid) -> sitk.Image:
    """Resample intensities to `grid` with a cubic B-spline, after a Gaussian blur along the axes whose spacing grows.

    The blur widens the point spread function of the old voxels to that of the new ones:
    sigma = sqrt(new² - old²) / (2 sqrt(2 ln 2)) (Cardoso et al., MICCAI 2015). The result is clipped to the range of
    the input, and rounded if the input has an integer type.
    """
    old = Grid.of(image)
    if old == grid:
        return image
    values = sitk.GetArrayViewFromImage(image)
    growth = [max(0.0, (after / before) ** 2 - 1) for before, after in zip(old.spacing_mm, grid.spacing_mm)]
    result = _Interpolation(old, grid, 3, [SIGMA_PER_FWHM**2 * more for more in growth]).volume(values)
    np.clip(result, np.float32(values.min()), np.float32(values.max()), out=result)
    if values.dtype.kind != "f":
        result = np.floor(result + np.float32(0.5), out=result).astype(values.dtype)
    return from_array(result, grid)


def resample_onto(image: sitk.Image, grid: Grid) -> sitk.Image:
    """Resample intensities to a `grid` of any position and direction, such as that of another scan of the patient.

    As in `resample_image`, voxels that grow are blurred first, the interpolation is a cubic B-spline (linear where an
    axis has two voxels), and the result is clipped to the range of the input. Beyond the image, it is the lowest value
    of the input: air, or background.

    Args:
        image: in LPS orientation, as `grid` is.
    """
    growth = [max(0.0, (new / old) ** 2 - 1) for new, old in zip(grid.spacing, image.GetSpacing())]
    values = sitk.GetArrayViewFromImage(image)
    low, high, kind = float(values.min()), float(values.max()), values.dtype
    smooth = sitk.Cast(image, sitk.sitkFloat32)
    if any(growth):
        variances_mm2 = [SIGMA_PER_FWHM**2 * more * mm**2 for more, mm in zip(growth, image.GetSpacing())]
        smooth = sitk.DiscreteGaussian(smooth, [max(one, 1e-12) for one in variances_mm2])
    # ITK's spline reads beyond an axis of two voxels.
    interpolator = sitk.sitkLinear if 2 in image.GetSize() else sitk.sitkBSpline
    moved = sitk.Resample(
        smooth, grid.size, sitk.Transform(), interpolator, grid.origin, grid.spacing, grid.direction, low
    )
    result = np.clip(sitk.GetArrayViewFromImage(moved), np.float32(low), np.float32(high))
    if kind.kind != "f":
        result = np.floor(result + np.float32(0.5))
    return from_array(result.astype(kind), grid)


def covered_share(image: Grid, grid: Grid) -> float:
    """Return the share of the voxels of `grid` whose centres lie in the box of `image`, of at most 32 along an axis."""
    along = [np.unique(np.linspace(0, size - 1, min(size, 32)).round()) for size in grid.size]
    indices = np.stack(np.meshgrid(*along, indexing="ij"), -1).reshape(-1, 3)
    points_mm = np.array(grid.origin) + indices * grid.spacing @ np.reshape(grid.direction, (3, 3)).T
    places = (points_mm - image.origin) @ np.linalg.inv(np.reshape(image.direction, (3, 3))).T / image.spacing
    tolerance = 0.5 + GRID_TOLERANCE
    return float(((places >= -tolerance) & (places <= np.array(image.size) - 1 + tolerance)).all(axis=1).mean())


def _discrete_gaussian(variance: float) -> np.ndarray:
    """Return the discrete analogue of a Gaussian (Lindeberg, IEEE PAMI 1990), truncated at 99 % of its weight."""
    half = special.ive(np.arange(2 + int(4 * np.sqrt(variance))), variance)
    held = half[0] + 2 * np.cumsum(half[1:])
    half = half[: 2 + np.argmax(held >= 0.99)]
    return np.concatenate([half[:0:-1], half]) / (half[0] + 2 * half[1:].sum())


def count_labels(labels: np.ndarray) -> np.ndarray:
    """Return the number of voxels of each label 0 to 255 in uint8 `labels` (z, y, x)."""
    # One plane at a time, because np.bincount needs eight bytes per voxel.
    return sum(np.bincount(plane.ravel(), minlength=256) for plane in labels)


def resample_reference(reference: sitk.Image, grid: Grid) -> np.ndarray:
    """Resample labels to `grid` and return them, uint8 (z, y, x).

    The mask of each label is interpolated linearly and each voxel takes the label of the largest value; ties take the
    lowest foreground label. Because structures thinner than a new voxel would vanish, the label of every old voxel is
    kept in the new voxel that contains it or in one of its 26 neighbours. Rare labels are written last, so that no
    other label overwrites them.

    Where voxels are not annotated (`IGNORED`), annotated background is a label as any other, so that thin scribbles of
    it are kept, too.
    """
    labels = sitk.GetArrayViewFromImage(reference).astype(np.uint8)
    old = Grid.of(reference)
    if old == grid:
        return labels
    if (labels == IGNORED).any():
        return _swapped(_resample_labels(_swapped(labels), old, grid))
    return _resample_labels(labels, old, grid)


def _swapped(labels: np.ndarray) -> np.ndarray:
    """Return `labels` with background and `IGNORED` exchanged, uint8."""
    table = np.arange(256, dtype=np.uint8)
    table[[0, IGNORED]] = IGNORED, 0
    return table[labels]


def _resample_labels(labels: np.ndarray, old: Grid, grid: Grid) -> np.ndarray:
    """Resample `labels`, uint8 (z, y, x), from `old` to `grid`; 0 fills the space between all others."""
    counts = count_labels(labels)
    foreground = [int(label) for label in np.flatnonzero(counts) if label != 0]

    result = _largest_share(labels, old, grid)
    boxes = ndimage.find_objects(labels)
    new_of_old = [
        np.clip(np.floor(at + 0.5).astype(int), 0, size - 1) for at, size in zip(grid.indices_of(old), grid.shape)
    ]
    for label in sorted(foreground, key=lambda label: -counts[label]):
        box = boxes[label - 1]
        _keep_thin_parts(result, labels[box] == label, label, [new[part] for new, part in zip(new_of_old, box)])
    return result


def _largest_share(labels: np.ndarray, old: Grid, grid: Grid) -> np.ndarray:
    """Return the label with the largest linearly interpolated mask at each voxel of `grid`, uint8 (z, y, x).

    The share of the background is 1 minus the sum of the foreground shares.
    """
    interpolation = _Interpolation(old, grid, 1)
    result = np.zeros(grid.shape, np.uint8)
    for z, plane in enumerate(result):
        found = sum(np.bincount(labels[index].ravel(), minlength=256) for index in interpolation.old_planes(z))
        best = total = np.zeros(plane.shape, np.float32)
        for label in np.flatnonzero(found[1:]) + 1:
            share = interpolation.plane(z, lambda index, label=label: labels[index] == label)
            plane[share > best] = label
            best, total = np.maximum(best, share), total + share
        plane[best < 1 - total] = 0
    return result


def _keep_thin_parts(result: np.ndarray, mask: np.ndarray, label: int, new_of_old: list[np.ndarray]) -> None:
    """Assign `label` to new voxels, fullest first, until each voxel of the old `mask` is at most one voxel from it.

    `new_of_old` gives, for each axis (z, y, x), the index in `result` of the voxel that contains each voxel of `mask`.
    """
    box = tuple(slice(max(0, new[0] - 2), new[-1] + 3) for new in new_of_old)
    part = result[box]
    along_z, along_y, along_x = (new - span.start for new, span in zip(new_of_old, box))
    sum_y, sum_x = (_sums(new, size) for new, size in zip((along_y, along_x), part.shape[1:]))
    filled = np.zeros(part.shape, np.int32)  # number of old voxels of the label in each new voxel
    for z, plane in zip(along_z, mask.view(np.uint8)):
        filled[z] += (sum_x @ (sum_y @ plane).T).T
    while True:
        reached = ndimage.maximum_filter((part == label).view(np.uint8), 3)
        lost = np.where(reached, 0, filled)
        if not lost.any():
            return
        part[(lost > 0) & (lost == ndimage.maximum_filter(lost, 3))] = label


def _sums(new_of_old: np.ndarray, size: int) -> sparse.csr_array:
    """Return the matrix (size, old) that sums the old voxels in each of `size` new voxels."""
    count = len(new_of_old)
    return sparse.csr_array((np.ones(count, np.int32), (new_of_old, np.arange(count))), shape=(size, count))


def restore_channels(channels: Iterable[np.ndarray], grid: Grid, original: Grid) -> Iterator[np.ndarray]:
    """Interpolate each of `channels`, float32 (z, y, x) on `grid`, linearly to the grid `original` (in LPS order)."""
    interpolation = _Interpolation(grid, original, 1)
    for values in channels:
        yield np.stack([interpolation.plane(z, values.__getitem__) for z in range(original.shape[0])])


def voxels_read(mask: np.ndarray, grid: Grid, original: Grid) -> np.ndarray:
    """Return which voxels of `grid` decide the marked voxels of `original`, see `restore_decision`.

    Args:
        mask: boolean (z, y, x) on the grid `original`.

    Returns:
        boolean (z, y, x) on `grid`.
    """
    return _Interpolation(grid, original, 1).read_for(mask)


def restore_decision(probabilities: np.ndarray, grid: Grid, original: Grid) -> np.ndarray:
    """Return the argmax of `probabilities` after interpolation to the grid `original`, uint8 (z, y, x).

    This is the argmax of `restore_channels`, computed one plane at a time to save memory. Ties take the first class.

    Args:
        probabilities: float32 (classes, z, y, x) on `grid`.
    """
    interpolation = _Interpolation(grid, original, 1)
    result = np.zeros(original.shape, np.uint8)
    for z, plane in enumerate(result):
        plane[:] = argmax(interpolation.plane(z, values.__getitem__) for values in probabilities)
    return result
