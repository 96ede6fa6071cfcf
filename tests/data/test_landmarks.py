"""Tests that a landmark stays at its physical point: in a file of any direction, resampled, and predicted."""

import numpy as np
import pytest
import SimpleITK as sitk

from base.channels import UNNAMED
from base.label_classes import parse_classes
from data.cases import Case
from data.images.image_files import Grid
from data.layouts import SourceCase
from data.predictions import Scan, reference_labels
from data.preparation import prepare_case
from tests.material import image_of, write_case

CLASSES = parse_classes("0,1,2")
SPACING = (0.9, 1.2, 3.0)


def ball(shape, centre, radius_mm):
    """Return the mask of a ball in a file of `SPACING` (x, y, z); `centre` is in voxels (z, y, x)."""
    distances = [(i - c) * mm for i, c, mm in zip(np.indices(shape), centre, SPACING[::-1])]
    return sum(distance**2 for distance in distances) <= radius_mm**2


@pytest.mark.parametrize("voxel_size_mm", [(1.5, 1.5, 2.5), None])
def test_a_landmark_is_found_at_the_same_point(direction, voxel_size_mm, tmp_path):
    labels = np.zeros((16, 32, 36), np.uint8)
    labels[ball(labels.shape, (5, 9, 24), 9)] = 1
    labels[ball(labels.shape, (10, 22, 10), 7)] = 2
    geometry = (SPACING, (-31.0, 17.0, -250.0), direction)
    image = image_of(np.where(labels > 0, 100 * labels, -1000).astype(np.int16), *geometry)
    folder = write_case(tmp_path / "case", image, image_of(labels, *geometry))
    source = SourceCase("case", folder / "imaging.nii.gz", folder / "segmentation.nii.gz")
    assert not prepare_case(source, folder, voxel_size_mm).problem

    case = Case(folder)
    resampled = case.resampled_reference()
    scan = Scan.of_case(case)
    certain = np.stack([resampled == index for index in range(3)]).astype(np.float32)
    prediction = scan.decide(certain, CLASSES)
    scan.write(prediction, tmp_path / "prediction.nii.gz")

    written = sitk.ReadImage(str(tmp_path / "prediction.nii.gz"))
    given = sitk.ReadImage(str(folder / "imaging.nii.gz"))
    assert Grid.of(written) == Grid.of(given)
    before, after = sitk.LabelShapeStatisticsImageFilter(), sitk.LabelShapeStatisticsImageFilter()
    before.Execute(sitk.ReadImage(str(folder / "segmentation.nii.gz")))
    after.Execute(written)
    for label in (1, 2):
        # With resampling, the centroid may move by a fraction of a voxel; without, it must not move.
        tolerance = 0.3 if voxel_size_mm else 1e-3
        np.testing.assert_allclose(before.GetCentroid(label), after.GetCentroid(label), atol=tolerance)
    np.testing.assert_array_equal(prediction.shape, scan.array().shape)
    agreement = (reference_labels(case, CLASSES) == prediction).mean()
    assert agreement > 0.97 if voxel_size_mm else agreement == 1


def test_the_resampled_image_and_reference_show_the_landmark_at_the_same_point(direction, tmp_path):
    labels = np.zeros((16, 32, 36), np.uint8)
    labels[ball(labels.shape, (5, 9, 24), 9)] = 1
    geometry = (SPACING, (5.0, -17.0, 99.0), direction)
    folder = write_case(
        tmp_path / "case", image_of(1000 * labels.astype(np.float32), *geometry), image_of(labels, *geometry)
    )
    source = SourceCase("case", folder / "imaging.nii.gz", folder / "segmentation.nii.gz")
    prepare_case(source, folder, (1.5, 1.5, 2.5))
    case = Case(folder)
    image, reference = case.stored_image(UNNAMED).astype(np.float32), case.resampled_reference()
    assert ((image > 500) == (reference == 1)).mean() > 0.99
    written = sitk.ReadImage(str(folder / "imaging_rs.nii.gz"))
    centre = np.argwhere(reference == 1).mean(axis=0)[::-1]
    original = sitk.LabelShapeStatisticsImageFilter()
    original.Execute(sitk.ReadImage(str(folder / "segmentation.nii.gz")))
    found = written.TransformContinuousIndexToPhysicalPoint(centre.tolist())
    np.testing.assert_allclose(found, original.GetCentroid(1), atol=0.3)
