"""Measures of the regions of a case, independent of their position in the volume."""

import numpy as np
import pytest
from scipy.special import softmax

from base.label_classes import IGNORED, parse_classes
from base.regions import parse_regions, regions_of
from utils.evaluation.calibration import brier_score, expected_calibration_error
from utils.evaluation.case_measures import MEASURES, VOLUMES, Probabilities, Segmentation, measure_case
from utils.evaluation.metrics import dice, surface_distances
from utils.evaluation.surface_dice import surface_dice

SPACING_MM = (2.0, 1.0, 1.0)
REGIONS = regions_of(parse_classes("0,1,2"), parse_regions("1+2"))


def volume(*boxes, shape=(12, 20, 20)):
    """Return labels of boxes, each ``(label, first, last)`` along all axes."""
    labels = np.zeros(shape, np.uint8)
    for label, first, last in boxes:
        labels[first:last, first:last, first:last] = label
    return labels


@pytest.fixture
def prediction():
    return volume((1, 3, 8), (2, 6, 9))


@pytest.fixture
def reference():
    return volume((1, 4, 9), (2, 7, 9))


@pytest.fixture
def values():
    logits = np.random.default_rng(0).normal(0, 2, (3, 12, 20, 20))
    return softmax(logits, axis=0).astype(np.float32)


def measure(prediction, reference, values, tolerance_mm=1.0):
    segmentation = Segmentation(np.zeros(prediction.shape), prediction, reference, SPACING_MM)
    return measure_case(segmentation, Probabilities(values, reference, SPACING_MM), REGIONS, tolerance_mm)


def test_a_union_is_measured_as_one_structure(prediction, reference, values):
    kidney, tumour, both = measure(prediction, reference, values)
    assert [row["class"] for row in (kidney, tumour, both)] == ["1", "2", "1+2"]
    assert both["dice"] == dice(prediction > 0, reference > 0)
    assert both["dice"] > max(kidney["dice"], tumour["dice"])
    distances = surface_distances(prediction > 0, reference > 0, SPACING_MM)
    assert both["asd_mm"] == distances.average
    assert both["volume_ml"] == pytest.approx(kidney["volume_ml"] + tumour["volume_ml"])


def test_the_tolerance_applies_to_the_surface_dice(prediction, reference, values):
    masks = prediction == 1, reference == 1
    shares = [measure(prediction, reference, values, mm)[0]["surface_dice"] for mm in (0.5, 1.5)]
    assert shares == [surface_dice(*masks, SPACING_MM, mm) for mm in (0.5, 1.5)]
    assert shares[0] < shares[1]


def test_probabilities_of_a_union_are_the_sum_of_its_classes(prediction, reference, values):
    """The volume is cropped so that all of it lies within 5 mm of the foreground."""
    corner = (slice(2, 11),) * 3
    cut = [array[..., 2:11, 2:11, 2:11] for array in (prediction, reference, values)]
    assert cut[1].shape == reference[corner].shape
    rows = measure(*cut)
    channels = [cut[2][1], cut[2][2], cut[2][1] + cut[2][2]]
    for row, probability, outcome in zip(rows, channels, (cut[1] == 1, cut[1] == 2, cut[1] > 0)):
        assert row["ece"] == pytest.approx(expected_calibration_error(probability.ravel(), outcome.ravel()))
        assert row["brier"] == pytest.approx(brier_score(probability.ravel(), outcome.ravel()))


def test_calibration_ignores_voxels_far_from_the_foreground(prediction, reference, values):
    changed = values.copy()
    changed[:, :, -5:] = 0.5  # 6 mm and more from the last foreground voxel
    assert measure(prediction, reference, changed) == measure(prediction, reference, values)


def test_measures_do_not_depend_on_the_surrounding_background(prediction, reference, values):
    around = ((3, 4), (5, 6), (7, 8))
    wide = [np.pad(array, around) for array in (prediction, reference)]
    values_around = np.pad(values, ((0, 0), *around), constant_values=0.5)
    inside = [array[:, :16, :16] for array in (prediction, reference)]
    assert measure(*wide, values_around) != []
    for row, other in zip(measure(*wide, values_around), measure(*inside, values[:, :, :16, :16])):
        kept = [name for name in (*MEASURES, *VOLUMES) if name not in ("ece", "brier")]
        assert {name: row[name] for name in kept} == {name: other[name] for name in kept}


def test_without_a_reference_there_is_only_a_volume(prediction, values):
    for row in measure(prediction, None, values):
        assert row.keys() == {"class", "volume_ml"}
        assert row["volume_ml"] > 0


def test_a_reference_without_foreground(values):
    """Two empty masks agree; distances and calibration are undefined."""
    empty = volume()
    for row in measure(empty, empty, values):
        assert row["dice"] == row["surface_dice"] == 1
        assert row["asd_mm"] is row["hausdorff_mm"] is row["ece"] is row["brier"] is None


def test_what_is_not_annotated_counts_neither_for_dice_nor_for_calibration(prediction, reference, values):
    """Compare with measures of a volume in which the ignored slices do not exist."""
    sparse = reference.copy()
    sparse[8:] = IGNORED
    rows = measure(prediction, sparse, values)
    cut = measure(prediction[:8], reference[:8], values[:, :8])
    for row, expected in zip(rows, cut, strict=True):
        assert row["dice"] == expected["dice"]
        assert (row["ece"], row["brier"]) == pytest.approx((expected["ece"], expected["brier"]))
        assert not {"asd_mm", "hausdorff_mm", "hausdorff95_mm", "surface_dice", "reference_volume_ml"} & row.keys()
    assert rows[0]["volume_ml"] == measure(prediction, reference, values)[0]["volume_ml"]
