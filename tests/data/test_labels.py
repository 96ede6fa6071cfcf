"""Tests of labels stored as floating-point numbers, in all functions that read labels."""

import numpy as np
import pytest
import SimpleITK as sitk

from base.errors import InputError
from base.label_classes import parse_classes
from data.cases import Case
from data.clipping import clip_of_prediction, clip_of_reference
from data.labels import whole_labels
from data.layouts import SourceCase
from data.preparation import prepare_case
from tests.material import image_of

LABELS = np.zeros((5, 7, 6), np.uint8)
LABELS[1:4, 1:6, 1:5] = 1
LABELS[2, 2:4, 2:4] = 2


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("error", [-0.0009, 1e-7, 0.0009])
def test_labels_within_the_tolerance_are_rounded(tmp_path, kind, error):
    labels = whole_labels(LABELS.astype(kind) + kind(error), tmp_path)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (LABELS * 0.998, "not whole numbers"),
        (LABELS + 0.0011, "not whole numbers"),
        (LABELS - 1.0001, "labels -1 to 1;"),
        (LABELS.astype(np.int16) - 1, "labels -1 to 1;"),
        (LABELS * np.uint8(127) + np.uint8(1), "labels 1 to 255; use labels 0 to 254"),
        (LABELS * 1e30, r"labels 0 to 2e\+30"),
    ],
)
def test_other_values_are_refused(tmp_path, values, problem):
    with pytest.raises(InputError, match=problem):
        whole_labels(values, tmp_path / "labels.nii.gz")


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mha"])
@pytest.mark.parametrize("scale", [0.9999999, 0.9996])
def test_labels_of_references_and_predictions_are_rounded(tmp_path, ending, scale):
    """Check that 0.9999999 becomes 1; conversion to integers without rounding would give 0."""
    scan, mask, prediction = (tmp_path / f"{name}{ending}" for name in ("scan", "mask", "prediction"))
    sitk.WriteImage(image_of(LABELS.astype(np.int16) * 100), str(scan))
    for path in (mask, prediction):
        sitk.WriteImage(image_of(LABELS * np.float32(scale)), str(path))
    outcome = prepare_case(SourceCase("case", scan, mask), tmp_path / "OUT", None)
    assert not outcome.problem
    assert outcome.record["labels"] == {str(label): (label == LABELS).sum() for label in (0, 1, 2)}
    case = Case(tmp_path / "OUT")
    for labels in (case.original_reference(), case.resampled_reference()):
        np.testing.assert_array_equal(labels, LABELS)
    for clip in (clip_of_reference(case, parse_classes("0,1,2")), clip_of_prediction(prediction, case)):
        np.testing.assert_array_equal(clip.on_scan, LABELS > 0)
        np.testing.assert_array_equal(clip.on_grid, LABELS > 0)


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_a_reference_accepted_by_stage_1_is_accepted_later(tmp_path, flip):
    """Check a direction with a rounding error that exceeds a thousandth of a voxel far from the origin."""
    direction = np.diag([flip, flip, 1.0])
    near = direction.copy()
    near[0, 1], near[1, 0] = 5e-4, -5e-4
    for name, labels, axes in (("imaging", LABELS.astype(np.int16) * 100, direction), ("segmentation", LABELS, near)):
        image = image_of(labels, (1.0, 1.0, 2.0), (-20.0, 30.0, 5.0), axes.ravel().tolist())
        sitk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
    source = SourceCase("case", tmp_path / "imaging.nii.gz", tmp_path / "segmentation.nii.gz")
    assert not prepare_case(source, tmp_path, None).problem
    case = Case(tmp_path)
    np.testing.assert_array_equal(case.original_reference(), case.resampled_reference())
