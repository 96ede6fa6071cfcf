"""From a scan's own grid to the common voxel grid, and back.

The new grid covers the same physical box as the old one: corners stay, voxel centres move.

    old  |  .  |  .  |  .  |  .  |      4 voxels of 1.5 mm
    new  |    .    |    .    |  ..      6 mm hold 3 voxels of 2 mm
"""

from collections.abc import Iterable, Iterator

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from data.image_files import Grid, from_array

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


def _onto(image: sitk.Image, grid: Grid, interpolator: int) -> sitk.Image:
    """Interpolate `image` on `grid`; beyond its outermost voxel centres the outermost value goes on."""
    resample = sitk.ResampleImageFilter()
    resample.SetSize(grid.size)
    resample.SetOutputSpacing(grid.spacing)
    resample.SetOutputOrigin(grid.origin)
    resample.SetOutputDirection(grid.direction)
    resample.SetInterpolator(interpolator)
    resample.SetUseNearestNeighborExtrapolator(True)
    return resample.Execute(image)


def resample_image(image: sitk.Image, grid: Grid) -> sitk.Image:
    """Resample intensities to `grid` with a cubic B-spline, after a blur along the axes whose voxels grow.

    The blur makes the old voxel's point spread function as wide as the new one's:
    sigma = sqrt(new² - old²) / (2 sqrt(2 ln 2)) (Cardoso et al., MICCAI 2015). Results stay within the input's range;
    whole numbers stay whole numbers.
    """
    old = Grid.of(image)
    if old == grid:
        return image
    pixel_type = image.GetPixelID()
    image = sitk.Cast(image, sitk.sitkFloat32)
    extremes = sitk.MinimumMaximum(image)
    variances = [max(0.0, new**2 - before**2) * SIGMA_PER_FWHM**2 for before, new in zip(old.spacing, grid.spacing)]
    if any(variances):
        image = sitk.DiscreteGaussian(image, variances, 32, 0.01, True)
    image = sitk.Clamp(_onto(image, grid, sitk.sitkBSpline3), sitk.sitkFloat32, *extremes)
    if pixel_type in (sitk.sitkFloat32, sitk.sitkFloat64):
        return image
    return sitk.Cast(sitk.Round(image), pixel_type)


def resample_reference(reference: sitk.Image, grid: Grid) -> np.ndarray:
    """Resample labels to `grid`: uint8 (z, y, x).

    Each label's mask is interpolated linearly and the largest share wins. Structures thinner than a new voxel would
    lose everywhere; so each voxel of the old grid keeps its label in the new voxel that contains it or in one of that
    voxel's 26 neighbours, and rare labels are served last, so that none covers them.
    """
    labels = sitk.GetArrayViewFromImage(reference)
    if Grid.of(reference) == grid:
        return labels.astype(np.uint8)
    counts = np.bincount(labels.ravel(), minlength=1)
    foreground = [int(label) for label in np.flatnonzero(counts) if label != 0]
    result = _largest_share(((label, reference == label) for label in foreground), grid)
    old_per_new = np.divide(reference.GetSpacing(), grid.spacing)[::-1]
    for label in sorted(foreground, key=lambda label: -counts[label]):
        _keep_thin_parts(result, labels == label, label, old_per_new)
    return result


def _largest_share(masks, grid: Grid) -> np.ndarray:
    """Label of the largest linearly interpolated mask at each voxel of `grid`; 0 where none reaches the background's.

    `masks` yields (label, binary image). The background's share is what the masks leave of 1.
    """
    best = np.zeros(grid.shape, np.float32)
    total = np.zeros(grid.shape, np.float32)
    result = np.zeros(grid.shape, np.uint8)
    for label, mask in masks:
        image = _onto(sitk.Cast(mask, sitk.sitkFloat32), grid, sitk.sitkLinear)
        share = sitk.GetArrayViewFromImage(image)  # valid only as long as the image is there
        total += share
        larger = share > best
        result[larger] = label
        best[larger] = share[larger]
    result[best < 1 - total] = 0
    return result


def _keep_thin_parts(result: np.ndarray, mask: np.ndarray, label: int, old_per_new: np.ndarray) -> None:
    """Give `label` to new voxels, best filled first, until no voxel of the old `mask` is farther than one from it.

    `old_per_new` is the old spacing over the new one, (z, y, x).
    """
    # The boxes share their centre: old voxel i of m lies in new voxel round((i - (m-1)/2) old/new + (n-1)/2) of n.
    inside = tuple(
        np.clip(np.floor((i - (m - 1) / 2) * ratio + n / 2).astype(int), 0, n - 1)
        for i, m, n, ratio in zip(np.nonzero(mask), mask.shape, result.shape, old_per_new)
    )
    filled = np.bincount(np.ravel_multi_index(inside, result.shape), minlength=result.size).reshape(result.shape)
    box = tuple(slice(max(0, i.min() - 2), i.max() + 3) for i in inside)
    filled, part = filled[box], result[box]
    while True:
        reached = ndimage.binary_dilation(part == label, np.ones((3, 3, 3)))
        lost = np.where(reached, 0, filled)
        if not lost.any():
            return
        part[(lost > 0) & (lost == ndimage.maximum_filter(lost, 3))] = label


def restore_channels(channels: Iterable[np.ndarray], grid: Grid, original: Grid) -> Iterator[np.ndarray]:
    """Bring each of `channels`, float32 (z, y, x) on `grid`, linearly back to `original` (in LPS order)."""
    for values in channels:
        yield (
            values
            if grid == original
            else sitk.GetArrayFromImage(_onto(from_array(values, grid), original, sitk.sitkLinear))
        )
