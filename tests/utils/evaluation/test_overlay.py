"""Overlays: which slices are shown, what is drawn where, and names that are not harmless."""

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.image import imread

from base.label_classes import IGNORED
from data.case_folder import RECORD
from data.cases import Case
from data.predictions import Scan
from tests.material import image_of, write_case
from utils.evaluation.case_measures import Segmentation
from utils.evaluation.overlay import ShownCase, plot_overlay
from utils.evaluation.overlay_panels import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    Panel,
    View,
    close_view,
    full_view,
    shown_box,
)
from utils.evaluation.shown_slices import DoubtMap, busiest_slices, errors_of, farthest_error, most_wrong_slices

SPACING_MM = (5.0, 2.0, 1.0)


def case_of(prediction, reference, **more) -> Segmentation:
    return Segmentation(np.zeros(prediction.shape, np.int16), prediction, reference, SPACING_MM, **more)


@pytest.fixture
def missed():
    """Return a cube that is predicted well but for its rim, and a false positive, three voxels wide, away from it."""
    reference = np.zeros((12, 40, 60), np.uint8)
    reference[2:8, 4:24, 4:34] = 1
    prediction = np.zeros_like(reference)
    prediction[2:8, 4:24, 5:34] = 1  # 120 wrong voxels at the rim
    prediction[9:12, 30:33, 50:53] = 1  # 27 wrong voxels
    return case_of(prediction, reference)


def test_the_widest_error_is_shown_before_a_thin_rim(missed):
    z, y, x = most_wrong_slices(errors_of(missed))
    assert (9 <= z <= 11, 30 <= y <= 32, 50 <= x <= 52) == (True, True, True)
    assert busiest_slices(missed.reference) == (2, 4, 4)


def test_the_farthest_error_is_the_voxel_of_the_hausdorff_distance(missed):
    voxel, mm = farthest_error(missed, 1)
    assert voxel == (11, 32, 52)
    nearest = (7, 23, 33)
    assert mm == pytest.approx(np.linalg.norm((np.array(voxel) - nearest) * SPACING_MM))
    labels = sitk.HausdorffDistanceImageFilter()
    images = [image_of(labels, spacing=SPACING_MM[::-1]) for labels in (missed.prediction, missed.reference)]
    labels.Execute(*images)
    assert mm == pytest.approx(labels.GetHausdorffDistance())


def test_voxels_that_are_not_annotated_are_no_errors(missed):
    reference = missed.reference.copy()
    reference[8:] = IGNORED
    reference[..., :5] = IGNORED
    assert most_wrong_slices(errors_of(case_of(missed.prediction, reference))) is None


def test_the_most_doubtful_slices_are_found_on_the_scans_grid():
    """The map lies on a grid of half as many voxels along x."""
    values = np.zeros((4, 6, 5), np.float32)
    values[1, 2, 3] = 1
    doubt = DoubtMap("entropy", values, (np.arange(4), np.arange(6), np.arange(10) // 2))
    assert doubt.most_doubtful() == (1, 2, 6)
    assert np.argwhere(doubt.slice_at(0, 1)).tolist() == [[2, 6], [2, 7]]
    assert DoubtMap("entropy", 0 * values, doubt.nearest).most_doubtful() is None


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_panel_shows_the_proportions_and_directions_of_the_patient(axis):
    """A voxel near the patient's left, back and head appears where the panel's letters say."""
    prediction = np.zeros((8, 20, 40), np.uint8)  # 40 mm each
    prediction[7, 19, 39] = 1
    segmentation = case_of(prediction, None)
    panel = Panel(segmentation, full_view(segmentation, axis, prediction.shape[axis] - 1), 40, (0.0, 1.0))
    rows, columns = panel.prediction.nonzero()
    left, right, top, bottom = panel.view.letters
    assert {right, bottom if axis == 0 else top} == set("LPS") - {"SPL"[axis]}
    assert {left, top if axis == 0 else bottom} == set("RAI") - {"IAR"[axis]}
    heights = {0: (38, 39), 1: (0, 4), 2: (0, 4)}[axis]  # of the voxel: 2 mm, 5 mm
    widths = {0: (39, 39), 1: (39, 39), 2: (38, 39)}[axis]
    assert (rows.min(), rows.max()) == (heights[0], heights[1])
    assert (columns.min(), columns.max()) == widths
    column, row = panel.pixel_of((7, 19, 39))
    assert row == pytest.approx(np.mean(heights), abs=0.5)
    assert column == pytest.approx(np.mean(widths), abs=0.5)


def test_a_panel_is_zoomed_to_prediction_and_reference(missed):
    box = shown_box(missed)
    view = close_view(missed, box, 0, 5)
    assert view.centre_mm == ((4 + 33) / 2 * 2.0, (4 + 53) / 2 * 1.0)
    assert 58 < view.side_mm < 90
    areas = Panel(missed, view, 64, (0.0, 1.0)).areas()
    assert areas[FALSE_NEGATIVE].any()
    assert not areas[FALSE_POSITIVE].any()


def test_positions_are_those_that_viewers_show(direction, tmp_path):
    """Compare with SimpleITK: the position of a voxel along the normal of the slices, in patient coordinates."""
    image = image_of(np.zeros((6, 7, 8), np.int16), (1.5, 2.5, 4.0), (10.0, -20.0, 30.0), direction)
    write_case(tmp_path / "case", image, None)
    lps = sitk.DICOMOrient(image, "LPS")
    grid = {
        "size": lps.GetSize(),
        "spacing": lps.GetSpacing(),
        "origin": lps.GetOrigin(),
        "direction": lps.GetDirection(),
    }
    case = Case(tmp_path / "case")
    case.__dict__["record"] = {"original": grid, "resampled": grid}
    assert not (case.folder / RECORD).exists()
    scan = Scan.of_case(case)
    segmentation = Segmentation(scan.array(), np.zeros(scan.array().shape, np.uint8), None, scan.spacing_mm)
    normals = np.reshape(lps.GetDirection(), (3, 3)).T
    for axis, letters in enumerate(("SI", "PA", "LR")):
        voxel = [0, 0, 0]
        voxel[2 - axis] = 3
        mm = float(normals[2 - axis] @ lps.TransformIndexToPhysicalPoint(voxel))
        shown = Segmentation(*vars(segmentation).values())
        object.__setattr__(shown, "first_slice_mm", scan.first_slice_mm)
        assert View(axis, 3, (0, 0), 10).title(shown).endswith(f"{letters[mm < 0]} {abs(mm):.1f} mm")


NAMES = ["plain", "a$b_c$ $\\frac$", "<script>alert(1)&\"'", "名前 ü", "x" * 200]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_any_name_can_be_drawn(name, missed, tmp_path):
    plot_overlay(tmp_path / "overlay.png", ShownCase(name, name, missed, [("1", 1)]))
    assert imread(tmp_path / "overlay.png").shape[1] > 1000


@pytest.mark.parametrize("shape", [(1, 30, 30), (30, 1, 30), (3, 300, 4), (1, 1, 1)])
@pytest.mark.parametrize("filled", [True, False])
def test_any_shape_and_an_empty_prediction_can_be_drawn(shape, filled, tmp_path):
    prediction = np.full(shape, filled, np.uint8)
    doubt = DoubtMap("entropy", np.zeros(shape, np.float32), tuple(map(np.arange, shape)))
    for reference in (None, np.zeros_like(prediction), np.full_like(prediction, IGNORED)):
        measures = [{"class": "1", "dice": 0.0, "volume_ml": 1.0, "hausdorff_mm": None}]
        shown = ShownCase("case", "run", case_of(prediction, reference), [("1", 1)], measures, None, doubt)
        plot_overlay(tmp_path / "overlay.png", shown)


def test_areas_of_errors_are_coloured(missed, tmp_path):
    """The picture without contours differs from grey only where the prediction is wrong."""
    for prediction, coloured in ((missed.reference, False), (missed.prediction, True)):
        segmentation = case_of(prediction, missed.reference)
        for axis in range(3):
            position = most_wrong_slices(errors_of(missed))[axis]
            picture = Panel(segmentation, full_view(segmentation, axis, position), 100, (0.0, 1.0)).picture(None)
            assert (np.ptp(picture, axis=2) > 0.05).any() == coloured
