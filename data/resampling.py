"""From a scan's own grid to the common voxel grid, and back.

The new grid covers the same physical box as the old one: corners stay, voxel centres move.

    old  |  .  |  .  |  .  |  .  |      4 voxels of 1.5 mm
    new  |    .    |    .    |  ..      6 mm hold 3 voxels of 2 mm
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import SimpleITK as sitk
from scipy import ndimage, sparse, special

from data.images.image_files import Grid, from_array

# Standard deviation of a Gaussian per unit of full width at half maximum.
SIGMA_PER_FWHM = 1 / (2 * np.sqrt(2 * np.log(2)))

_LEAST_WEIGHT = 1e-7  # what a voxel counts from where it is left out: a cubic spline reaches infinitely far


def resampled_grid(grid: Grid, voxel_size_mm: tuple[float, float, float] | None) -> Grid:
    """Grid of voxels of `voxel_size_mm` (x, y, z) over the physical box of `grid`; `grid` itself for None."""
    if voxel_size_mm is None:
        return grid
    size = [max(1, round(n * old / new)) for n, old, new in zip(grid.size, grid.spacing, voxel_size_mm)]
    # The box is centred: what rounding adds or leaves out is shared by both ends.
    centre_shift = [
        (n_old - 1) / 2 * old - (n_new - 1) / 2 * new
        for n_old, old, n_new, new in zip(grid.size, grid.spacing, size, voxel_size_mm)
    ]
    direction = np.reshape(grid.direction, (3, 3))
    origin = np.array(grid.origin) + direction @ centre_shift
    return Grid(tuple(size), tuple(voxel_size_mm), tuple(origin.tolist()), grid.direction)


class _Way:
    """From one grid to another whose axes have the same directions: for each axis one sparse matrix, (new, old).

    Beyond the outermost voxel centres a linear interpolation goes on with the outermost value, a cubic one mirrors.
    """

    def __init__(self, old: Grid, new: Grid, order: int, variances: Iterable[float] = (0, 0, 0)):
        """`order` is the spline's, 1 or 3; `variances` those of a blur before, in squares of old voxels (z, y, x)."""
        self._along_z, self._along_y, self._along_x = (
            _matrix(size, at, order, variance) for size, at, variance in zip(old.shape, old.indices_of(new), variances)
        )

    def old_planes(self, z: int) -> np.ndarray:
        """The planes of the old grid that plane `z` of the new one is made of."""
        return self._along_z.indices[slice(*self._along_z.indptr[z : z + 2])]

    def plane(self, z: int, old_plane: Callable[[int], np.ndarray]) -> np.ndarray:
        """Plane `z` of what becomes of a volume of which `old_plane` gives the planes: float32 (y, x)."""
        weights = self._along_z.data[slice(*self._along_z.indptr[z : z + 2])]
        return self._inside(sum(weight * old_plane(old) for weight, old in zip(weights, self.old_planes(z))))

    def volume(self, values: np.ndarray) -> np.ndarray:
        """What becomes of `values` (z, y, x): float32 (z, y, x)."""
        planes = np.stack([self._inside(plane.astype(np.float32)) for plane in values])
        return (self._along_z @ planes.reshape(len(planes), -1)).reshape(-1, *planes.shape[1:])

    def _inside(self, plane: np.ndarray) -> np.ndarray:
        return (self._along_x @ (self._along_y @ plane).T).T


def _matrix(size: int, at: np.ndarray, order: int, variance: float) -> sparse.csr_array:
    """The weight of each of `size` voxels in a row, after a blur, for the values `at` some indices: float32.

    Made of what the row answers to one voxel of 1 among zeros.
    """
    impulses = np.eye(size)
    if variance:
        impulses = ndimage.correlate1d(impulses, _discrete_gaussian(variance), mode="nearest")
    mode = "nearest" if order == 1 else "mirror"
    weights = np.stack([ndimage.map_coordinates(row, [at], order=order, mode=mode) for row in impulses], axis=1)
    return sparse.csr_array(np.where(np.abs(weights) < _LEAST_WEIGHT, 0, weights).astype(np.float32))


def resample_image(image: sitk.Image, grid: Grid) -> sitk.Image:
    """Resample intensities to `grid` with a cubic B-spline, after a blur along the axes whose voxels grow.

    The blur makes the old voxel's point spread function as wide as the new one's:
    sigma = sqrt(new² - old²) / (2 sqrt(2 ln 2)) (Cardoso et al., MICCAI 2015). Results stay within the input's range;
    whole numbers stay whole numbers.
    """
    old = Grid.of(image)
    if old == grid:
        return image
    values = sitk.GetArrayViewFromImage(image)
    growth = [max(0.0, (after / before) ** 2 - 1) for before, after in zip(old.spacing_mm, grid.spacing_mm)]
    result = _Way(old, grid, 3, [SIGMA_PER_FWHM**2 * more for more in growth]).volume(values)
    np.clip(result, np.float32(values.min()), np.float32(values.max()), out=result)
    if values.dtype.kind != "f":
        result = np.floor(result + np.float32(0.5), out=result).astype(values.dtype)
    return from_array(result, grid)


def _discrete_gaussian(variance: float) -> np.ndarray:
    """The discrete counterpart of a Gaussian (Lindeberg, IEEE PAMI 1990), cut where it holds 99 % of the weight."""
    half = special.ive(np.arange(2 + int(4 * np.sqrt(variance))), variance)
    held = half[0] + 2 * np.cumsum(half[1:])
    half = half[: 2 + np.argmax(held >= 0.99)]
    return np.concatenate([half[:0:-1], half]) / (half[0] + 2 * half[1:].sum())


def count_labels(labels: np.ndarray) -> np.ndarray:
    """Voxels of each label 0 to 255 of uint8 `labels` (z, y, x)."""
    return sum(np.bincount(plane.ravel(), minlength=256) for plane in labels)  # it takes eight bytes a voxel


def resample_reference(reference: sitk.Image, grid: Grid) -> np.ndarray:
    """Resample labels to `grid`: uint8 (z, y, x).

    Each label's mask is interpolated linearly and the largest share wins; of equal ones the lowest label of the
    foreground. Structures thinner than a new voxel would lose everywhere; so each voxel of the old grid keeps its label
    in the new voxel that contains it or in one of that voxel's 26 neighbours, and rare labels are served last, so that
    none covers them.
    """
    labels = sitk.GetArrayViewFromImage(reference).astype(np.uint8)
    old = Grid.of(reference)
    if old == grid:
        return labels
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
    """Label of the largest linearly interpolated mask at each voxel of `grid`, uint8 (z, y, x).

    The background's share is what the masks leave of 1; it wins where it is larger than each of theirs.
    """
    way = _Way(old, grid, 1)
    result = np.zeros(grid.shape, np.uint8)
    for z, plane in enumerate(result):
        found = sum(np.bincount(labels[index].ravel(), minlength=256) for index in way.old_planes(z))
        best = total = np.zeros(plane.shape, np.float32)
        for label in np.flatnonzero(found[1:]) + 1:
            share = way.plane(z, lambda index, label=label: labels[index] == label)
            plane[share > best] = label
            best, total = np.maximum(best, share), total + share
        plane[best < 1 - total] = 0
    return result


def _keep_thin_parts(result: np.ndarray, mask: np.ndarray, label: int, new_of_old: list[np.ndarray]) -> None:
    """Give `label` to new voxels, best filled first, until no voxel of the old `mask` is farther than one from it.

    `new_of_old` holds for each axis (z, y, x) the voxel of `result` that contains each voxel of `mask`.
    """
    box = tuple(slice(max(0, new[0] - 2), new[-1] + 3) for new in new_of_old)
    part = result[box]
    along_z, along_y, along_x = (new - span.start for new, span in zip(new_of_old, box))
    sum_y, sum_x = (_sums(new, size) for new, size in zip((along_y, along_x), part.shape[1:]))
    filled = np.zeros(part.shape, np.int32)  # old voxels of the label in each new one
    for z, plane in zip(along_z, mask.view(np.uint8)):
        filled[z] += (sum_x @ (sum_y @ plane).T).T
    while True:
        reached = ndimage.maximum_filter((part == label).view(np.uint8), 3)
        lost = np.where(reached, 0, filled)
        if not lost.any():
            return
        part[(lost > 0) & (lost == ndimage.maximum_filter(lost, 3))] = label


def _sums(new_of_old: np.ndarray, size: int) -> sparse.csr_array:
    """The matrix (size, old) that adds up the old voxels in each of `size` new ones."""
    count = len(new_of_old)
    return sparse.csr_array((np.ones(count, np.int32), (new_of_old, np.arange(count))), shape=(size, count))


def restore_channels(channels: Iterable[np.ndarray], grid: Grid, original: Grid) -> Iterator[np.ndarray]:
    """Bring each of `channels`, float32 (z, y, x) on `grid`, linearly back to `original` (in LPS order)."""
    way = _Way(grid, original, 1)
    for values in channels:
        yield np.stack([way.plane(z, values.__getitem__) for z in range(original.shape[0])])


def restore_decision(probabilities: np.ndarray, grid: Grid, original: Grid) -> np.ndarray:
    """The most probable class on `original`, uint8 (z, y, x), as `restore_channels` brings back `probabilities`.

    A plane at a time, to spare memory. Of equally probable classes the first.

    Args:
        probabilities: float32 (classes, z, y, x) on `grid`.
    """
    way = _Way(grid, original, 1)
    result = np.zeros(original.shape, np.uint8)
    for z, plane in enumerate(result):
        best = way.plane(z, probabilities[0].__getitem__)
        for number, values in enumerate(probabilities[1:], start=1):
            share = way.plane(z, values.__getitem__)
            plane[share > best] = number
            best = np.maximum(best, share)
    return result
