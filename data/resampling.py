"""From a scan's own grid to the common voxel grid, and back.

The new grid covers the same physical box as the old one: corners stay, voxel centres move.

    old  |  .  |  .  |  .  |  .  |      4 voxels of 1.5 mm
    new  |    .    |    .    |  ..      6 mm hold 3 voxels of 2 mm
"""

from collections.abc import Iterable, Iterator

import numpy as np
import SimpleITK as sitk
from scipy import ndimage, special

from data.image_files import Grid, from_array
from data.largest_share import largest_share

# Standard deviation of a Gaussian per unit of full width at half maximum.
SIGMA_PER_FWHM = 1 / (2 * np.sqrt(2 * np.log(2)))


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


def resample_image(image: sitk.Image, grid: Grid) -> sitk.Image:
    """Resample intensities to `grid` with a cubic B-spline, after a blur along the axes whose voxels grow.

    The blur makes the old voxel's point spread function as wide as the new one's:
    sigma = sqrt(new² - old²) / (2 sqrt(2 ln 2)) (Cardoso et al., MICCAI 2015). Both are linear and go axis by axis, so
    that each axis takes one matrix. Results stay within the input's range; whole numbers stay whole numbers.
    """
    old = Grid.of(image)
    if old == grid:
        return image
    values = sitk.GetArrayViewFromImage(image)
    lowest, highest = np.float32(values.min()), np.float32(values.max())
    along_z, along_y, along_x = (
        _spline_matrix(size, at, max(0.0, (new / before) ** 2 - 1) * SIGMA_PER_FWHM**2)
        for size, at, before, new in zip(old.shape, old.indices_of(grid), old.spacing_mm, grid.spacing_mm)
    )
    planes = np.stack([along_y @ (plane.astype(np.float32) @ along_x.T) for plane in values])
    result = (along_z @ planes.reshape(len(planes), -1)).reshape(grid.shape)
    np.clip(result, lowest, highest, out=result)
    if values.dtype.kind != "f":
        result = np.floor(result + np.float32(0.5), out=result).astype(values.dtype)
    return from_array(result, grid)


def _spline_matrix(size: int, at: np.ndarray, variance: float) -> np.ndarray:
    """What a row of `size` values, blurred and interpolated, gives `at` some indices: float32 (len(at), size).

    Beyond its ends the row is mirrored for the spline, and goes on with its outermost values for the blur.

    Args:
        variance: of the blur, in squares of the row's voxels.
    """
    impulses = np.eye(size)
    if variance:
        impulses = ndimage.correlate1d(impulses, _discrete_gaussian(variance), mode="nearest")
    answers = [ndimage.map_coordinates(impulse, [at], order=3, mode="mirror") for impulse in impulses]
    return np.stack(answers, axis=1).astype(np.float32)


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

    def share_of(label: int):
        return lambda z, at: labels[z].take(at) == label

    result = largest_share(labels, [(label, share_of(label)) for label in (*foreground, 0)], old, grid)
    boxes = ndimage.find_objects(labels)
    new_of_old = [
        np.clip(np.floor(at + 0.5).astype(int), 0, size - 1) for at, size in zip(grid.indices_of(old), grid.shape)
    ]
    for label in sorted(foreground, key=lambda label: -counts[label]):
        box = boxes[label - 1]
        _keep_thin_parts(result, labels[box] == label, label, [new[part] for new, part in zip(new_of_old, box)])
    return result


def _keep_thin_parts(result: np.ndarray, mask: np.ndarray, label: int, new_of_old: list[np.ndarray]) -> None:
    """Give `label` to new voxels, best filled first, until no voxel of the old `mask` is farther than one from it.

    `new_of_old` holds for each axis (z, y, x) the voxel of `result` that contains each voxel of `mask`.
    """
    box = tuple(slice(max(0, new[0] - 2), new[-1] + 3) for new in new_of_old)
    part = result[box]
    inside = [(new - span.start)[i] for new, span, i in zip(new_of_old, box, np.nonzero(mask))]
    filled = np.bincount(np.ravel_multi_index(inside, part.shape), minlength=part.size).reshape(part.shape)
    while True:
        reached = ndimage.maximum_filter((part == label).view(np.uint8), 3)
        lost = np.where(reached, 0, filled)
        if not lost.any():
            return
        part[(lost > 0) & (lost == ndimage.maximum_filter(lost, 3))] = label


def restore_channels(channels: Iterable[np.ndarray], grid: Grid, original: Grid) -> Iterator[np.ndarray]:
    """Bring each of `channels`, float32 (z, y, x) on `grid`, linearly back to `original` (in LPS order).

    Beyond the outermost voxel centres the outermost value goes on.
    """
    resample = sitk.ResampleImageFilter()
    resample.SetSize(original.size)
    resample.SetOutputSpacing(original.spacing)
    resample.SetOutputOrigin(original.origin)
    resample.SetOutputDirection(original.direction)
    resample.SetInterpolator(sitk.sitkLinear)
    resample.SetUseNearestNeighborExtrapolator(True)
    for values in channels:
        yield values if grid == original else sitk.GetArrayFromImage(resample.Execute(from_array(values, grid)))


def restore_decision(probabilities: np.ndarray, grid: Grid, original: Grid) -> np.ndarray:
    """Class of the largest of `probabilities`, float32 (classes, z, y, x) on `grid`, brought back as by
    `restore_channels`: uint8 (z, y, x) on `original`; of equally probable classes the first.
    """
    leading = np.zeros(probabilities.shape[1:], np.uint8)
    for z, winner in enumerate(leading):
        best = probabilities[0, z]
        for number, values in enumerate(probabilities[1:, z], start=1):
            winner[values > best] = number
            best = np.maximum(best, values)
    if grid == original:
        return leading

    def share_of(number: int):
        return lambda z, at: probabilities[number, z].take(at)

    return largest_share(leading, [(number, share_of(number)) for number in range(len(probabilities))], grid, original)
