"""A student that predicts the uncertainty of its ensemble."""

import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from data.images.image_files import Grid
from tests.material import SMALL, rows_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory, call, kidneys, save):
    """Return a SAVE folder with a student that predicts uncertainty, tested on val and test."""
    folder = tmp_path_factory.mktemp("uncertain")
    shutil.copytree(save, folder, dirs_exist_ok=True)
    call("ensemble", "-d", kidneys, "-s", folder, "-e", "train", "--classes", "0,1,2")
    options = [*SMALL, "-d", kidneys, "-s", folder, "--classes", "0,1,2", "-i", 150, "-r", "student", "--soft"]
    call("training_network", *options, "--predict-uncertainty")
    for split in ("val", "test"):
        weights = folder / "student" / "FINAL*.pth"
        call("testing_network", "-d", kidneys, "-s", folder, "-e", split, "--network-weights", weights)
    return folder


def test_the_uncertainty_map_lies_on_the_scans_grid_and_is_not_negative(folder, kidneys):
    for split, case in (("val", "case_00003"), ("test", "case_00005")):
        image = sitk.ReadImage(str(folder / "student" / split / f"{case}_uncertainty.nii.gz"))
        assert Grid.of(image) == Grid.of(sitk.ReadImage(str(kidneys / split / case / "imaging.nii.gz")))
        values = sitk.GetArrayViewFromImage(image)
        assert values.min() >= 0
        assert np.ptp(values) > 0.01


def test_the_uncertainty_approximates_the_ensembles_deviation(folder, kidneys, call):
    """The error is smaller than that of a constant 0.25, the middle of the possible deviations."""
    call("ensemble", "-d", kidneys, "-s", folder, "-e", "val", "--classes", "0,1,2")
    files = (folder / "soft_labels" / "0_1_2" / "val" / "case_00003").glob("deviation_*.nii.gz")
    deviation = np.max([sitk.GetArrayFromImage(sitk.ReadImage(str(file))) for file in files], axis=0) / 510
    grid = sitk.ReadImage(str(kidneys / "val" / "case_00003" / "imaging_rs.nii.gz"))
    image = sitk.ReadImage(str(folder / "student" / "val" / "case_00003_uncertainty.nii.gz"))
    predicted = sitk.GetArrayFromImage(sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear))
    inner = (slice(1, -1),) * 3
    error = np.square(predicted - deviation)[inner].mean()
    assert error < np.square(0.25 - deviation)[inner].mean()


def test_error_ranking_is_written_for_cases_with_a_reference(folder):
    rows = rows_of(folder / "student" / "val" / "uncertainty.csv")
    assert [(row["case"], row["map"]) for row in rows] == [("case_00003", "uncertainty")]
    assert 0 <= float(rows[0]["error_ranking"]) <= 1
    assert {row["case"] for row in rows_of(folder / "student" / "test" / "uncertainty.csv")} == {"case_00004"}


def test_no_uncertainty_map_without_the_option(folder, kidneys, call):
    weights = folder / "one" / "FINAL*.pth"
    call("testing_network", "-d", kidneys, "-s", folder, "-e", "val", "--network-weights", weights)
    assert not list((folder / "one" / "val").glob("*uncertainty*"))
