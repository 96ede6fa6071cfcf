"""Two-stage prediction without a reference: kidney with tumour first, then the tumour inside it."""

import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from base.errors import InputError
from tests.material import SMALL, array_of

APART = ["--classes", "0,1,2", "--balance-ratios", "0,5,5"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, call, kidneys):
    """Run the README's two stages on a test case without a reference; return DATA and SAVE."""
    folder = tmp_path_factory.mktemp("two_stages")
    data, save = folder / "DATA", folder / "SAVE"
    shutil.copytree(kidneys, data)
    shutil.rmtree(data / "test" / "case_00004")
    common = ["-d", data, "-s", save]
    call("training_network", *SMALL, *common, "--classes", "0,3", "-i", 60, "-r", "whole")
    call("training_network", *SMALL, *common, *APART, "-i", 60, "-r", "apart")
    call("testing_network", *common, "-e", "test", "--network-weights", save / "whole" / "FINAL*.pth")
    second = ["testing_network", *common, "-e", "test", "--network-weights", save / "apart" / "FINAL*.pth"]
    call(*second, "-r", "both stages", "--clip-to", "whole")
    call(*second, "-r", "second alone", "--save-probabilities")
    return data, save


def test_the_final_foreground_lies_inside_that_of_the_first_stage(recipe):
    _, save = recipe
    first = array_of(save / "whole" / "test" / "case_00005_prediction.nii.gz")
    final = array_of(save / "both stages" / "test" / "case_00005_prediction.nii.gz")
    alone = array_of(save / "second alone" / "test" / "case_00005_prediction.nii.gz")
    assert 0 < (first == 3).sum() < first.size
    assert set(np.unique(final)) <= {0, 1, 2}
    assert (final[first == 0] == 0).all()
    # Well inside the first stage's mask, the second stage predicts as it does for the whole volume.
    inside = sitk.GetArrayFromImage(sitk.BinaryErode(sitk.GetImageFromArray((first == 3).astype(np.uint8)), (2, 2, 2)))
    assert inside.any()
    assert (final[inside == 1] == alone[inside == 1]).mean() > 0.99
    assert (alone[first == 0] > 0).any()


def test_clipping_to_its_own_prediction_moves_no_border(recipe, call):
    data, save = recipe
    common = ["-d", data, "-s", save, "-e", "test"]
    weights = save / "whole" / "FINAL*.pth"
    whole = array_of(save / "whole" / "test" / "case_00005_prediction.nii.gz")
    call("testing_network", *common, "--network-weights", weights, "-r", "again", "--clip-to", "whole")
    np.testing.assert_array_equal(array_of(save / "again" / "test" / "case_00005_prediction.nii.gz"), whole)
    call("ensemble", *common, "--classes", "0,3", "-r", "mean again", "--clip-to", "whole")
    np.testing.assert_array_equal(array_of(save / "mean again" / "test" / "case_00005_prediction.nii.gz"), whole)


def test_an_ensemble_is_clipped_to_a_run_too(recipe, call):
    data, save = recipe
    common = ["-d", data, "-s", save, "-e", "test", "--classes", "0,1,2"]
    call("ensemble", *common, "--clip-to", "whole")
    first = array_of(save / "whole" / "test" / "case_00005_prediction.nii.gz")
    final = array_of(save / "ensemble_c0-1-2" / "test" / "case_00005_prediction.nii.gz")
    assert (final[first == 0] == 0).all()
    np.testing.assert_array_equal(final, array_of(save / "both stages" / "test" / "case_00005_prediction.nii.gz"))


@pytest.mark.parametrize("script", ["testing_network", "ensemble"])
def test_cases_clipped_to_another_first_stage_are_predicted_again(recipe, call, tmp_path, script):
    data, save = recipe
    save = shutil.copytree(save, tmp_path / "SAVE")
    common = ["-d", data, "-s", save, "-e", "test"]
    weights = ["--network-weights", save / "apart" / "FINAL*.pth"]
    second = [*common, "--clip-to", "whole", "-r", "both stages"]
    second += weights if script == "testing_network" else ["--classes", "0,1,2"]
    second_path = save / "both stages" / "test" / "case_00005_prediction.nii.gz"
    if script == "ensemble":
        shutil.rmtree(second_path.parent)
        call(script, *second)
    before = second_path.stat().st_mtime_ns
    call(script, *second)
    assert second_path.stat().st_mtime_ns == before

    first = array_of(save / "whole" / "test" / "case_00005_prediction.nii.gz")
    call("testing_network", *common, *weights, "-r", "whole", "--overwrite")
    call(script, *second)
    assert (array_of(second_path)[first == 0] > 0).any()  # background of the earlier first stage
    mean = save / "soft_labels" / "0_1_2" / "test" / "case_00005" / "mean_1.nii.gz"
    assert script != "ensemble" or mean.stat().st_mtime_ns > before


def test_clipping_to_a_missing_run_is_refused(recipe, call):
    data, save = recipe
    weights = ["--network-weights", save / "apart" / "FINAL*.pth"]
    with pytest.raises(InputError, match="no prediction of case_00005 to clip to"):
        call("testing_network", "-d", data, "-s", save, "-e", "test", *weights, "-r", "x", "--clip-to", "nothing")
    with pytest.raises(InputError, match="contradicts --clip"):
        call("ensemble", "-d", data, "-s", save, "-e", "val", "--classes", "0,1,2", "--clip", "--clip-to", "whole")
