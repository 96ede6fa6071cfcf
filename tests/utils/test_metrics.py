"""Measures by hand on a few voxels, and against SimpleITK's distance maps on random shapes."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from utils.metrics import dice, surface_distances, volume_ml


def mask(*voxels, shape=(4, 4, 4)):
    array = np.zeros(shape, bool)
    for voxel in voxels:
        array[voxel] = True
    return array


def test_dice_by_hand():
    assert dice(mask((0, 0, 0), (0, 0, 1)), mask((0, 0, 1), (0, 0, 2), (0, 0, 3))) == 2 * 1 / 5


def test_two_empty_masks_agree_and_one_empty_mask_agrees_in_nothing():
    assert dice(mask(), mask()) == 1
    assert dice(mask(), mask((1, 1, 1))) == 0
    assert dice(mask((1, 1, 1)), mask()) == 0


@pytest.mark.parametrize("pair", [(mask(), mask()), (mask((0, 0, 0)), mask()), (mask(), mask((0, 0, 0)))])
def test_distances_of_an_empty_mask_do_not_exist(pair):
    distances = surface_distances(*pair, (1.0, 1.0, 1.0))
    assert (distances.average, distances.hausdorff, distances.hausdorff_95) == (None, None, None)


def test_surface_dice_of_empty_masks():
    one, empty, spacing = mask((1, 1, 1)), mask(), (1.0, 1.0, 1.0)
    assert surface_distances(empty, empty, spacing).surface_dice(1.0) == 1
    assert surface_distances(one, empty, spacing).surface_dice(100.0) == 0
    assert surface_distances(empty, one, spacing).surface_dice(100.0) == 0


def test_distance_of_two_voxels_is_in_mm_along_each_axis():
    for axis, spacing in enumerate((5.0, 2.0, 1.0)):
        other = [1, 1, 1]
        other[axis] += 2
        distances = surface_distances(mask((1, 1, 1)), mask(tuple(other)), (5.0, 2.0, 1.0))
        assert distances.average == distances.hausdorff == distances.hausdorff_95 == 2 * spacing


def test_average_is_over_both_directions():
    """From one voxel to the nearest of two: 1 mm; back: 1 and 3 mm. (1 + 1 + 3) / 3."""
    distances = surface_distances(mask((0, 0, 0)), mask((0, 0, 1), (0, 0, 3)), (1.0, 1.0, 1.0))
    assert distances.average == pytest.approx(5 / 3)
    assert distances.hausdorff == 3


@pytest.mark.parametrize(("tolerance_mm", "share"), [(0, 0), (0.9, 0), (1, 2 / 3), (2.9, 2 / 3), (3, 1)])
def test_surface_dice_is_the_share_of_both_surfaces_within_the_tolerance(tolerance_mm, share):
    """From one voxel to the nearest of two: 1 mm; back: 1 and 3 mm."""
    distances = surface_distances(mask((0, 0, 0)), mask((0, 0, 1), (0, 0, 3)), (1.0, 1.0, 1.0))
    assert distances.surface_dice(tolerance_mm) == share


def test_surface_dice_of_a_shifted_cube():
    """98 of 5 × 5 × 5 voxels are at the surface. Shifted by one along x, all lie within a voxel of each other; the
    surfaces share a ring of 16 voxels in each of the 4 planes that both cubes have.
    """
    cubes = [np.zeros((9, 9, 9), bool) for _ in range(2)]
    cubes[0][2:7, 2:7, 2:7] = cubes[1][2:7, 2:7, 3:8] = True
    distances = surface_distances(*cubes, (1.0, 1.0, 1.0))
    assert distances.to_reference.size == distances.to_prediction.size == 5**3 - 3**3
    assert distances.surface_dice(0) == 4 * 16 / 98
    assert distances.surface_dice(1) == 1


def test_a_distance_of_the_tolerance_is_within_it():
    """A header holds 0.8 mm in single precision: 0.800000012 mm."""
    spacing_mm = (1.0, 1.0, float(np.float32(0.8)))
    assert surface_distances(mask((0, 0, 0)), mask((0, 0, 1)), spacing_mm).surface_dice(0.8) == 1


def test_volume_is_in_ml():
    assert volume_ml(mask((0, 0, 0), (1, 0, 0)), (10.0, 5.0, 4.0)) == pytest.approx(0.4)


def test_against_distance_maps():
    rng = np.random.default_rng(0)
    spacing = (3.0, 1.0, 0.7)
    for _ in range(5):
        masks = [ndimage.gaussian_filter(rng.normal(size=(14, 18, 20)), 2) > 0.02 for _ in range(2)]
        ours = surface_distances(*masks, spacing)
        images = [sitk.GetImageFromArray(one.astype(np.uint8)) for one in masks]
        for image in images:
            image.SetSpacing(spacing[::-1])
        # LabelContour leaves voxels at the image's border out: pad by background, so that they have a neighbour.
        images = [sitk.ConstantPad(image, (1, 1, 1), (1, 1, 1), 0) for image in images]
        surfaces = [sitk.LabelContour(image, fullyConnected=False) for image in images]
        directed = []
        for one, other in ((0, 1), (1, 0)):
            distance = sitk.SignedMaurerDistanceMap(surfaces[other], squaredDistance=False, useImageSpacing=True)
            away = np.abs(sitk.GetArrayFromImage(distance))
            directed.append(away[sitk.GetArrayFromImage(surfaces[one]) > 0])
        assert ours.average == pytest.approx(np.concatenate(directed).mean(), abs=1e-4)
        assert ours.hausdorff == pytest.approx(max(part.max() for part in directed), abs=1e-4)
        assert ours.hausdorff_95 == pytest.approx(max(np.percentile(part, 95) for part in directed), abs=1e-4)
        for tolerance_mm in (0.5, 1.1, 3.2):
            near = sum(np.count_nonzero(part <= tolerance_mm) for part in directed)
            assert ours.surface_dice(tolerance_mm) == pytest.approx(near / sum(part.size for part in directed))
        overlap = sitk.LabelOverlapMeasuresImageFilter()
        overlap.Execute(*images)
        assert dice(*masks) == pytest.approx(overlap.GetDiceCoefficient())
