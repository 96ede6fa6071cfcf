"""Prediction (stage 3) as a user runs it."""

import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import SimpleITK as sitk

from base.errors import InputError
from data.cases import Case
from data.images.image_files import Grid
from data.phantom import make_phantom
from tests.conftest import ROOT
from tests.material import largest_components, rows_of, write_case, write_kidney
from utils.evaluation.surface_dice import surface_dice


@pytest.fixture
def saved(save, tmp_path):
    """Return a copy of the SAVE folder with its networks."""
    shutil.copytree(save, tmp_path / "SAVE")
    return tmp_path / "SAVE"


def options(data, saved, *more, name="one"):
    return ["testing_network.py", "-d", data, "-s", saved, "--network-weights", saved / name / "FINAL*.pth", *more]


def predict(call, *arguments, **name) -> None:
    call("testing_network", *options(*arguments, **name)[1:])


def test_predictions_lie_on_the_scans_grid_and_are_measured(run, kidneys, saved):
    output = run(*options(kidneys, saved, "-e", "test", "--report-regions", "1+2,2", "--tolerance-mm", 6)).stdout
    folder = saved / "one" / "test"
    for name in ("case_00004", "case_00005"):
        prediction = sitk.ReadImage(str(folder / f"{name}_prediction.nii.gz"))
        scan = sitk.ReadImage(str(kidneys / "test" / name / "imaging.nii.gz"))
        assert Grid.of(prediction) == Grid.of(scan)
        assert (folder / f"{name}_overlay.png").stat().st_size > 10_000
    rows = rows_of(folder / "metrics.csv")
    assert [(row["case"], row["class"]) for row in rows] == [
        (case, region) for case in ("case_00004", "case_00005") for region in ("1", "2", "1+2")
    ]
    prediction = sitk.ReadImage(str(folder / "case_00004_prediction.nii.gz"))
    reference = sitk.ReadImage(str(kidneys / "test" / "case_00004" / "segmentation.nii.gz"))
    for row in rows[:3]:
        masks = [
            sitk.GetImageFromArray(np.isin(sitk.GetArrayFromImage(image), labels).astype(np.uint8))
            for image in (reference, prediction)
            for labels in [[int(label) for label in row["class"].split("+")]]
        ]
        for mask in masks:
            mask.CopyInformation(reference)
        overlap = sitk.LabelOverlapMeasuresImageFilter()
        overlap.Execute(*masks)
        assert float(row["dice"]) == pytest.approx(overlap.GetDiceCoefficient(), abs=1e-5)
        arrays = [sitk.GetArrayFromImage(mask) > 0 for mask in masks]
        spacing = reference.GetSpacing()[::-1]
        assert float(row["surface_dice"]) == pytest.approx(surface_dice(*arrays, spacing, 6), abs=1e-5)
        voxels = sitk.GetArrayFromImage(masks[0]).sum()
        assert float(row["reference_volume_ml"]) == pytest.approx(
            voxels * np.prod(reference.GetSpacing()) / 1000, rel=1e-4
        )
    assert surface_dice(*arrays, spacing, 6) > surface_dice(*arrays, spacing, 1) + 0.05  # the default
    for row in rows[3:]:  # without a reference: predicted, not scored
        assert float(row["volume_ml"]) >= 0
        assert row["dice"] == row["asd_mm"] == row["hausdorff_mm"] == row["reference_volume_ml"] == ""
        assert row["surface_dice"] == row["ece"] == row["brier"] == ""
    record = json.loads((folder / "predictions.json").read_text())
    assert record["surface_dice"] == "area"
    assert (record["tolerance_mm"], record["regions"]) == (6, ["1", "2", "1+2"])
    assert "surface Dice by area, at 6 mm" in output
    assert "s per case" in output


def test_the_time_of_a_case_excludes_reading_its_reference(call, kidneys, saved, monkeypatch):
    clock = [0.0]

    def read_slowly(case, classes, read=Case.resampled_classes):
        clock[0] += 1000
        return read(case, classes)

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(Case, "resampled_classes", read_slowly)
    predict(call, kidneys, saved, "-e", "test")
    assert clock[0] > 0
    assert {float(row["seconds"]) for row in rows_of(saved / "one" / "test" / "metrics.csv")} == {0}


def test_finished_cases_are_skipped_without_overwrite(call, kidneys, saved):
    predict(call, kidneys, saved, "-e", "test", "-r", "named")
    folder = saved / "named" / "test"
    first = {path.name: path.stat().st_mtime_ns for path in folder.glob("*_prediction.nii.gz")}
    (folder / "case_00005_prediction.nii.gz").unlink()
    predict(call, kidneys, saved, "-e", "test", "-r", "named")
    second = {path.name: path.stat().st_mtime_ns for path in folder.glob("*_prediction.nii.gz")}
    assert second["case_00004_prediction.nii.gz"] == first["case_00004_prediction.nii.gz"]
    assert second["case_00005_prediction.nii.gz"] > first["case_00005_prediction.nii.gz"]
    predict(call, kidneys, saved, "-e", "test", "-r", "named", "--overwrite")
    third = {path.name: path.stat().st_mtime_ns for path in folder.glob("*_prediction.nii.gz")}
    assert all(third[name] > second[name] for name in first)


def test_predictions_of_two_networks_or_precisions_are_not_mixed(call, kidneys, saved):
    predict(call, kidneys, saved, "-e", "val", "-r", "mixed")
    with pytest.raises(InputError, match="choose another run name with -r"):
        predict(call, kidneys, saved, "-e", "val", "-r", "mixed", name="two")
    with pytest.raises(InputError, match="precision fp32, not bf16"):
        predict(call, kidneys, saved, "-e", "val", "-r", "mixed", "--precision", "bf16")
    predict(call, kidneys, saved, "-e", "val", "-r", "mixed", "--overwrite", name="two")


def test_a_stopped_overwriting_run_keeps_no_results_of_the_earlier_run(run, kidneys, saved):
    """Predictions of the first network are not mistaken for those of the second."""
    run(*options(kidneys, saved, "-e", "test", "-r", "mixed"))
    folder = saved / "mixed" / "test"
    first = (folder / "case_00004_prediction.nii.gz").stat().st_mtime_ns
    command = [str(word) for word in options(kidneys, saved, "-e", "test", "-r", "mixed", "--overwrite", name="two")]
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stderr=subprocess.DEVNULL)
    while '"one"' in (folder / "predictions.json").read_text():
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.wait()
    run(*options(kidneys, saved, "-e", "test", "-r", "mixed", name="two"))
    assert (folder / "case_00004_prediction.nii.gz").stat().st_mtime_ns > first
    run(*options(kidneys, saved, "-e", "test", name="two"))
    assert [row["dice"] for row in rows_of(folder / "metrics.csv")] == [
        row["dice"] for row in rows_of(saved / "two" / "test" / "metrics.csv")
    ]


def test_the_prediction_is_the_argmax_of_the_probabilities_saved_on_the_scans_grid(run, saved, tmp_path):
    """In a scan of two kidneys, --keep-largest 1 then keeps the largest component of each class."""
    data = tmp_path / "DATA"
    write_case(data / "val" / "case", *make_phantom(3))
    run("resample_data.py", "-d", data, "--voxel-size", 3, 3, 5)
    run(*options(data, saved, "-e", "val", "--save-probabilities", "--keep-largest", 1))
    folder = saved / "one" / "val"
    images = [sitk.ReadImage(str(folder / f"case_probability_{label}.nii.gz")) for label in "012"]
    scan = sitk.ReadImage(str(data / "val" / "case" / "imaging.nii.gz"))
    assert all(Grid.of(image) == Grid.of(scan) for image in images)
    probabilities = np.stack([sitk.GetArrayFromImage(image) for image in images])
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-4)
    prediction = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "case_prediction.nii.gz")))
    decided = probabilities.argmax(axis=0)
    np.testing.assert_array_equal(prediction, largest_components(decided))
    assert (prediction != decided).any()
    assert json.loads((folder / "predictions.json").read_text())["keep_largest"] == 1


def test_an_empty_prediction_of_an_empty_reference_scores_one(run, saved, tmp_path):
    """Distances and calibration are undefined for an empty reference; their fields stay empty."""
    data = tmp_path / "DATA"
    case = write_kidney(data / "test" / "case", seed=4)
    reference = sitk.ReadImage(str(case / "segmentation.nii.gz"))
    sitk.WriteImage(reference * 0, str(case / "segmentation.nii.gz"))
    run("resample_data.py", "-d", data, "--voxel-size", 3, 3, 5)
    run(*options(data, saved, "-e", "test"))
    for row in rows_of(saved / "one" / "test" / "metrics.csv"):
        empty = float(row["volume_ml"]) == 0
        assert float(row["dice"]) == (1 if empty else 0)
        assert float(row["surface_dice"]) == float(row["dice"])
        assert row["asd_mm"] == row["hausdorff_mm"] == row["hausdorff95_mm"] == row["ece"] == row["brier"] == ""


def test_other_voxel_sizes_than_in_training_are_refused(run, call, saved, tmp_path):
    write_kidney(tmp_path / "DATA" / "test" / "case", seed=4)
    run("resample_data.py", "-d", tmp_path / "DATA", "--voxel-size", 4, 4, 5)
    with pytest.raises(InputError, match=r"\[4\.0, 4\.0, 5\.0\] mm.* trained on \[3\.0, 3\.0, 5\.0\] mm"):
        predict(call, tmp_path / "DATA", saved, "-e", "test")


@pytest.mark.parametrize(
    "more", [["--receptive-field-size", 35], ["--classes", "0,3"]], ids=["receptive field", "classes"]
)
def test_options_that_contradict_the_weights_are_refused(call, kidneys, saved, more):
    with pytest.raises(InputError, match="contradicts"):
        predict(call, kidneys, saved, "-e", "val", *more)
