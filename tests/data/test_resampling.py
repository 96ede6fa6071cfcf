import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from base.label_classes import IGNORED
from data.images.image_files import Grid, to_lps
from data.resampling import (
    SIGMA_PER_FWHM,
    resample_image,
    resample_reference,
    resampled_grid,
    restore_channels,
    restore_decision,
    voxels_read,
)
from tests.material import image_of


def centres(grid: Grid) -> np.ndarray:
    """Return the physical coordinates of the voxel centres in mm, (z, y, x, 3)."""
    indices = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1)[..., ::-1]
    return np.array(grid.origin) + (indices * grid.spacing) @ np.reshape(grid.direction, (3, 3)).T


def ramp(grid: Grid) -> np.ndarray:
    return (centres(grid) @ [3.0, -2.0, 1.0]).astype(np.float32)


@pytest.fixture
def grid(direction) -> Grid:
    image = image_of(np.zeros((30, 32, 34), np.uint8), (0.8, 0.9, 3.1), (-7.0, 40.0, 12.0), direction)
    return Grid.of(to_lps(image))


def test_the_new_grid_covers_the_same_box(grid):
    new = resampled_grid(grid, (1.5, 1.5, 2.5))
    assert new.spacing == (1.5, 1.5, 2.5)
    for one in (grid, new):
        assert one.direction == grid.direction

    def corners(one):
        direction = np.reshape(one.direction, (3, 3))
        half = np.array(one.spacing) / 2
        first = np.array(one.origin) - direction @ half
        return first, first + direction @ (np.array(one.size) * one.spacing)

    for old_corner, new_corner in zip(corners(grid), corners(new)):
        inward = np.reshape(grid.direction, (3, 3)).T @ (new_corner - old_corner)
        assert (np.abs(inward) <= np.array(new.spacing) / 4 + 1e-9).all()  # half a voxel, at two ends


def test_none_keeps_the_grid(grid):
    assert resampled_grid(grid, None) is grid


def test_none_keeps_the_planes_along_one_axis(grid):
    new = resampled_grid(grid, (1.5, 1.5, None))
    assert new.spacing == (1.5, 1.5, grid.spacing[2])
    assert new.size[2] == grid.size[2]
    old_planes, planes = (centres(one).mean(axis=(1, 2)) for one in (grid, new))
    np.testing.assert_allclose(planes, old_planes, atol=1e-9)  # the in-plane box is concentric
    values = np.zeros(grid.shape, np.float32)
    values[11] = 1  # a slice stays within itself: nothing is interpolated across slices
    resampled = sitk.GetArrayFromImage(resample_image(image_of(values, grid.spacing, grid.origin, grid.direction), new))
    np.testing.assert_allclose(resampled[11], 1, atol=1e-3)
    np.testing.assert_allclose(np.delete(resampled, 11, axis=0), 0, atol=1e-3)


def test_a_linear_ramp_keeps_its_physical_position(grid):
    """Check that values stay at their physical points when resampled and restored, for any direction and spacing."""
    new = resampled_grid(grid, (1.5, 1.5, 2.5))
    image = image_of(ramp(grid), grid.spacing, grid.origin, grid.direction)
    there = sitk.GetArrayFromImage(resample_image(image, new))
    inner = (slice(7, -7),) * 3  # outside of this box, the border affects the spline
    np.testing.assert_allclose(there[inner], ramp(new)[inner], atol=0.05)
    (back,) = restore_channels([ramp(new)], new, grid)
    np.testing.assert_allclose(back[inner], ramp(grid)[inner], atol=1e-3)


def by_simpleitk(image: sitk.Image, grid: Grid, interpolator: int) -> np.ndarray:
    """Return the values of `image` on `grid`, and 9999 outside of `image`."""
    empty = image_of(np.zeros(grid.shape, np.uint8), grid.spacing, grid.origin, grid.direction)
    image = sitk.Cast(image, sitk.sitkFloat32)
    return sitk.GetArrayFromImage(sitk.Resample(image, empty, sitk.Transform(), interpolator, 9999.0))


@pytest.mark.parametrize("voxel_size_mm", [(1.5, 1.5, 2.5), (0.6, 2.0, 5.0)])
def test_intensities_agree_with_simpleitk(grid, voxel_size_mm):
    new = resampled_grid(grid, voxel_size_mm)
    values = np.random.default_rng(0).integers(-1000, 1000, grid.shape).astype(np.int16)
    image = image_of(values, grid.spacing, grid.origin, grid.direction)
    variances = [max(0.0, after**2 - mm**2) * SIGMA_PER_FWHM**2 for mm, after in zip(grid.spacing, new.spacing)]
    blurred = sitk.DiscreteGaussian(sitk.Cast(image, sitk.sitkFloat32), variances, 32, 0.01, True)
    expected = np.rint(np.clip(by_simpleitk(blurred, new, sitk.sitkBSpline3), values.min(), values.max()))
    difference = np.abs(sitk.GetArrayFromImage(resample_image(image, new)) - expected)
    assert difference.max() <= 1  # ties of rounding depend on the last digits
    assert np.count_nonzero(difference) < 0.001 * difference.size


def test_restored_probabilities_and_their_argmax_agree_with_simpleitk(grid):
    new = resampled_grid(grid, (1.5, 1.1, 2.5))
    shares = np.random.default_rng(0).random((3, *new.shape), np.float32)
    back = np.stack(list(restore_channels(shares, new, grid)))
    for ours, values in zip(back, shares):
        theirs = by_simpleitk(image_of(values, new.spacing, new.origin, new.direction), grid, sitk.sitkLinear)
        inside = theirs < 9999
        assert inside.mean() > 0.9
        np.testing.assert_allclose(ours[inside], theirs[inside], atol=1e-6)
    np.testing.assert_array_equal(restore_decision(shares, new, grid), back.argmax(axis=0))


def test_the_voxels_that_decide_a_marked_voxel_are_those_whose_change_changes_it(grid):
    new = resampled_grid(grid, (1.5, 1.1, 2.5))
    mask = np.zeros(grid.shape, bool)
    mask[tuple(np.random.default_rng(0).integers(0, 30, (3, 5)))] = True
    needed = voxels_read(mask, new, grid)
    assert 0 < needed.sum() <= 8 * mask.sum()
    for expected in (True, False):
        (restored,) = restore_channels([np.float32(needed == expected)], new, grid)
        assert (restored[mask] == expected).all()


def test_the_outermost_value_is_repeated_beyond_the_outermost_voxel_centres():
    """Check six voxels of 1 mm that become two of 2.5 mm, with centres 1.25 and 3.75 mm from the first old centre."""
    old = Grid((6, 1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), tuple(np.eye(3).ravel()))
    new = resampled_grid(old, (2.5, 1.0, 1.0))
    assert (new.size, new.origin) == ((2, 1, 1), (1.25, 0, 0))
    (back,) = restore_channels([np.float32([[[10, 20]]])], new, old)
    np.testing.assert_allclose(back.ravel(), [10, 10, 13, 17, 20, 20], atol=1e-5)


def test_ties_between_classes_take_the_first(grid):
    new = resampled_grid(grid, (1.5, 1.1, 2.5))
    shares = np.random.default_rng(0).random((1, *new.shape), np.float32)
    decision = restore_decision(np.concatenate([np.zeros_like(shares), shares, shares]), new, grid)
    assert (decision == 1).all()


def test_only_axes_whose_spacing_grows_are_blurred():
    """Check that stripes one voxel wide vanish along axes downsampled by 3 and remain where the spacing is kept."""
    stripes = np.tile(np.float32([0, 100]), 30)
    for axis, kept in ((2, False), (0, True)):
        shape = [24, 24, 24]
        shape[axis] = 60
        array = np.broadcast_to(stripes.reshape([-1 if a == axis else 1 for a in range(3)]), shape)
        image = image_of(array)
        new = resampled_grid(Grid.of(image), (3.0, 3.0, 1.0))
        spread = sitk.GetArrayFromImage(resample_image(image, new))[(slice(2, -2),) * 3].std()
        assert (spread > 45) if kept else (spread < 3)


def test_intensities_stay_in_their_range_and_type():
    array = np.zeros((8, 8, 8), np.int16)
    array[4:] = 1000
    image = image_of(array, (1.0, 1.0, 3.0))
    result = resample_image(image, resampled_grid(Grid.of(image), (0.7, 0.7, 1.3)))
    values = sitk.GetArrayFromImage(result)
    assert result.GetPixelID() == sitk.sitkInt16
    assert (values.min(), values.max()) == (0, 1000)


def test_the_label_with_the_largest_share_is_taken():
    """Check a row of 1 mm voxels resampled to 2 mm voxels with centres between two old ones: shares are halves."""
    labels = np.array([[[0, 1, 1, 2, 2, 2, 0, 0]]], np.uint8)
    image = image_of(labels, (1.0, 1.0, 1.0))
    grid = Grid((4, 1, 1), (2.0, 1.0, 1.0), (0.5, 0.0, 0.0), Grid.of(image).direction)
    # Centres at 0.5, 2.5, 4.5, 6.5: halves of 0|1, 1|2, 2|2, 0|0. Ties take the foreground, and its lowest label.
    assert resample_reference(image, grid).ravel().tolist() == [1, 1, 2, 0]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thin_structures_survive(axis):
    """Check that a vessel and a sheet that are one old voxel (a third of a new voxel) thick are preserved."""
    labels = np.zeros((24, 24, 24), np.uint8)
    sheet = [slice(None)] * 3
    sheet[axis] = 5
    labels[tuple(sheet)] = 1
    vessel = [13, 13, 13]
    vessel[axis] = slice(None)
    labels[tuple(vessel)] = 2
    image = image_of(labels)
    grid = resampled_grid(Grid.of(image), (3.0, 3.0, 3.0))
    result = np.moveaxis(resample_reference(image, grid), axis, 0)
    nearest = sitk.GetArrayFromImage(
        sitk.Resample(image, grid.size, sitk.Transform(), sitk.sitkLinear, grid.origin, grid.spacing, grid.direction)
    )
    assert (result == 1).any(axis=0).mean() > 0.9  # every column of new voxels meets the sheet
    assert (result == 2).any(axis=(1, 2)).mean() > 0.8  # every new slice meets the vessel
    assert (nearest == 2).sum() <= (result == 2).sum()


def test_the_label_of_every_voxel_is_kept_within_one_new_voxel():
    rng = np.random.default_rng(0)
    labels = np.zeros((20, 30, 30), np.uint8)
    labels[tuple(rng.integers((20, 30, 30), size=(40, 3)).T)] = 1
    labels[5:12, 5:12, 5:12] = 2
    image = image_of(labels, (0.7, 0.7, 1.0))
    grid = resampled_grid(Grid.of(image), (2.0, 2.0, 3.0))
    result = resample_reference(image, grid)
    for label in (1, 2):
        found = np.argwhere(result == label)
        for voxel in np.argwhere(labels == label)[:, ::-1].tolist():
            point = image.TransformIndexToPhysicalPoint(voxel)
            new = (np.array(point) - grid.origin) / grid.spacing
            distance = np.abs(found[:, ::-1] - new).max(axis=1).min()
            assert distance <= 1.5 + 1e-6


def test_resampling_to_the_same_grid_changes_nothing():
    labels = np.random.default_rng(0).integers(0, 3, (5, 6, 7)).astype(np.uint8)
    image = image_of(labels, (1.0, 2.0, 3.0))
    np.testing.assert_array_equal(resample_reference(image, Grid.of(image)), labels)
    assert resample_image(image, Grid.of(image)) is image


def test_thin_scribbles_stay_annotated_where_voxels_grow():
    """Lines one voxel wide, of background and of two classes, in a reference of which the rest is not annotated."""
    labels = np.full((6, 40, 40), IGNORED, np.uint8)
    labels[1, 5, 3:30], labels[3, 10:35, 20], labels[4, 30, 4:12] = 0, 1, 2
    old = image_of(labels, (1.0, 1.0, 5.0))
    grid = resampled_grid(Grid.of(old), (2.7, 2.7, 8.0))
    new = resample_reference(old, grid)
    assert set(np.unique(new)) == {0, 1, 2, IGNORED}
    for label in (0, 1, 2):  # every annotated voxel has its label within one new voxel
        near = ndimage.maximum_filter((new == label).astype(np.uint8), 3)
        z, y, x = np.nonzero(labels == label)
        at = [
            np.clip(np.floor(index + 0.5).astype(int), 0, size - 1)
            for index, size in zip(grid.indices_of(Grid.of(old)), new.shape)
        ]
        assert near[at[0][z], at[1][y], at[2][x]].all()
    annotated = (new != IGNORED).mean() / (labels != IGNORED).mean()
    assert 1 <= annotated < 8  # thin lines grow with the voxels, at most
