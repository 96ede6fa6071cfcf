"""Stage 3 as a user runs it."""

import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import SimpleITK as sitk

from data.image_files import Grid
from tests.conftest import ROOT
from tests.material import rows_of, write_kidney


@pytest.fixture
def saved(save, tmp_path):
    """A SAVE folder of one's own, with the networks in it."""
    shutil.copytree(save, tmp_path / "SAVE")
    return tmp_path / "SAVE"


def options(data, saved, *more, name="one"):
    return ["testing_network.py", "-d", data, "-s", saved, "--network-weights", saved / name / "FINAL*.pth", *more]


def test_predictions_lie_where_the_patient_is_and_are_measured(run, kidneys, saved):
    output = run(*options(kidneys, saved, "-e", "test")).stdout
    folder = saved / "one" / "test"
    for name in ("case_00004", "case_00005"):
        prediction = sitk.ReadImage(str(folder / f"{name}_prediction.nii.gz"))
        scan = sitk.ReadImage(str(kidneys / "test" / name / "imaging.nii.gz"))
        assert Grid.of(prediction) == Grid.of(scan)
        assert (folder / f"{name}_overlay.png").stat().st_size > 10_000
    rows = rows_of(folder / "metrics.csv")
    assert [(row["case"], row["class"]) for row in rows] == [
        (case, label) for case in ("case_00004", "case_00005") for label in "12"
    ]
    prediction = sitk.ReadImage(str(folder / "case_00004_prediction.nii.gz"))
    reference = sitk.ReadImage(str(kidneys / "test" / "case_00004" / "segmentation.nii.gz"))
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(reference, sitk.Cast(prediction, reference.GetPixelID()))
    for row in rows[:2]:
        assert float(row["dice"]) == pytest.approx(overlap.GetDiceCoefficient(int(row["class"])), abs=1e-5)
        voxels = (sitk.GetArrayFromImage(reference) == int(row["class"])).sum()
        assert float(row["reference_volume_ml"]) == pytest.approx(
            voxels * np.prod(reference.GetSpacing()) / 1000, rel=1e-4
        )
    for row in rows[2:]:  # without a reference: predicted, not scored
        assert float(row["volume_ml"]) >= 0
        assert row["dice"] == row["asd_mm"] == row["hausdorff_mm"] == row["reference_volume_ml"] == ""
    assert "dice" in output
    assert "s per case" in output


def test_what_is_done_is_skipped_unless_told_otherwise(run, kidneys, saved):
    run(*options(kidneys, saved, "-e", "test", "-r", "named"))
    folder = saved / "named" / "test"
    first = {path.name: path.stat().st_mtime_ns for path in folder.glob("*_prediction.nii.gz")}
    (folder / "case_00005_prediction.nii.gz").unlink()
    run(*options(kidneys, saved, "-e", "test", "-r", "named"))
    second = {path.name: path.stat().st_mtime_ns for path in folder.glob("*_prediction.nii.gz")}
    assert second["case_00004_prediction.nii.gz"] == first["case_00004_prediction.nii.gz"]
    assert second["case_00005_prediction.nii.gz"] > first["case_00005_prediction.nii.gz"]
    run(*options(kidneys, saved, "-e", "test", "-r", "named", "--overwrite"))
    third = {path.name: path.stat().st_mtime_ns for path in folder.glob("*_prediction.nii.gz")}
    assert all(third[name] > second[name] for name in first)


def test_predictions_of_two_networks_are_not_mixed(run, kidneys, saved):
    run(*options(kidneys, saved, "-e", "val", "-r", "mixed"))
    process = run(*options(kidneys, saved, "-e", "val", "-r", "mixed", name="two"), status=2)
    assert "-r" in process.stderr
    run(*options(kidneys, saved, "-e", "val", "-r", "mixed", "--overwrite", name="two"))


def test_an_overwriting_run_that_is_stopped_vouches_for_nothing_of_the_run_before(run, kidneys, saved):
    """What the first network predicted is not taken for the second's."""
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


def test_probabilities_are_saved_on_the_scans_grid_and_decide(run, kidneys, saved):
    run(*options(kidneys, saved, "-e", "val", "--save-probabilities"))
    folder = saved / "one" / "val"
    images = [sitk.ReadImage(str(folder / f"case_00003_probability_{label}.nii.gz")) for label in "012"]
    scan = sitk.ReadImage(str(kidneys / "val" / "case_00003" / "imaging.nii.gz"))
    assert all(Grid.of(image) == Grid.of(scan) for image in images)
    probabilities = np.stack([sitk.GetArrayFromImage(image) for image in images])
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-4)
    prediction = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "case_00003_prediction.nii.gz")))
    np.testing.assert_array_equal(probabilities.argmax(axis=0), prediction)


def test_an_empty_prediction_of_an_empty_reference_scores_one(run, saved, tmp_path):
    """A case whose reference holds no tumour: the tumour's distances do not exist."""
    data = tmp_path / "DATA"
    case = write_kidney(data / "test" / "case", seed=4)
    reference = sitk.ReadImage(str(case / "segmentation.nii.gz"))
    sitk.WriteImage(reference * 0, str(case / "segmentation.nii.gz"))
    run("resample_data.py", "-d", data, "--voxel-size", 3, 3, 5)
    run(*options(data, saved, "-e", "test"))
    for row in rows_of(saved / "one" / "test" / "metrics.csv"):
        empty = float(row["volume_ml"]) == 0
        assert float(row["dice"]) == (1 if empty else 0)
        assert row["asd_mm"] == row["hausdorff_mm"] == row["hausdorff95_mm"] == ""


def test_other_voxels_than_the_trainings_are_refused(run, saved, tmp_path):
    write_kidney(tmp_path / "DATA" / "test" / "case", seed=4)
    run("resample_data.py", "-d", tmp_path / "DATA", "--voxel-size", 4, 4, 5)
    process = run(*options(tmp_path / "DATA", saved, "-e", "test"), status=2)
    assert "[4.0, 4.0, 5.0]" in process.stderr
    assert "[3.0, 3.0, 5.0]" in process.stderr


@pytest.mark.parametrize(
    "more", [["--receptive-field-size", 35], ["--classes", "0,3"]], ids=["receptive field", "classes"]
)
def test_options_that_contradict_the_weights_are_refused(run, kidneys, saved, more):
    assert "contradicts" in run(*options(kidneys, saved, "-e", "val", *more), status=2).stderr
