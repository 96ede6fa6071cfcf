"""Measures of a few voxels by hand, and compared with SimpleITK's distance maps on random shapes."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from utils.evaluation.metrics import dice, surface_distances, volume_ml


def mask(*voxels, shape=(4, 4, 4)):
    array = np.zeros(shape, bool)
    for voxel in voxels:
        array[voxel] = True
    return array


def test_dice_by_hand():
    assert dice(mask((0, 0, 0), (0, 0, 1)), mask((0, 0, 1), (0, 0, 2), (0, 0, 3))) == 2 * 1 / 5


def test_dice_is_1_for_two_empty_masks_and_0_for_one():
    assert dice(mask(), mask()) == 1
    assert dice(mask(), mask((1, 1, 1))) == 0
    assert dice(mask((1, 1, 1)), mask()) == 0


@pytest.mark.parametrize("pair", [(mask(), mask()), (mask((0, 0, 0)), mask()), (mask(), mask((0, 0, 0)))])
def test_distances_of_an_empty_mask_are_none(pair):
    distances = surface_distances(*pair, (1.0, 1.0, 1.0))
    assert (distances.average, distances.hausdorff, distances.hausdorff_95) == (None, None, None)


def test_distance_of_two_voxels_is_in_mm_along_each_axis():
    for axis, spacing in enumerate((5.0, 2.0, 1.0)):
        other = [1, 1, 1]
        other[axis] += 2
        distances = surface_distances(mask((1, 1, 1)), mask(tuple(other)), (5.0, 2.0, 1.0))
        assert distances.average == distances.hausdorff == distances.hausdorff_95 == 2 * spacing


def test_average_is_over_both_directions():
    """From one voxel to the nearest of two: 1 mm; in the other direction: 1 and 3 mm. (1 + 1 + 3) / 3."""
    distances = surface_distances(mask((0, 0, 0)), mask((0, 0, 1), (0, 0, 3)), (1.0, 1.0, 1.0))
    assert distances.average == pytest.approx(5 / 3)
    assert distances.hausdorff == 3


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
        # LabelContour omits voxels at the image border: pad with background, so that they have a neighbour.
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
        overlap = sitk.LabelOverlapMeasuresImageFilter()
        overlap.Execute(*images)
        assert dice(*masks) == pytest.approx(overlap.GetDiceCoefficient())
