"""`--views` as a user runs it."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from base.errors import InputError
from tests.material import SMALL, write_kidney


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory, call):
    """Return DATA on the scans' own grid, and SAVE with two networks: trained with and without --flip."""
    folder = tmp_path_factory.mktemp("mirrored")
    data, save = folder / "DATA", folder / "SAVE"
    for number, split in enumerate(("train", "val")):
        write_kidney(data / split / f"case_{number:05d}", seed=number)
    call("resample_data.py", "-d", data, "--voxel-size", "none")
    command = ["training_network.py", *SMALL, "-d", data, "-s", save, "--classes", "0,1,2", "-i", 10]
    call(*command, "-r", "flipped", "--flip", "--planes", "axial")
    call(*command, "-r", "upright")
    return data, save


def prediction(data, save, name, *more):
    weights = save / name / f"FINAL_{name}_10.pth"
    return ["testing_network.py", "-d", data, "-s", save, "-e", "val", "--network-weights", weights, *more]


def probabilities(folder):
    paths = [folder / f"case_00001_probability_{name}.nii.gz" for name in "012"]
    return np.stack([sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in paths])


def test_views_change_probabilities_and_are_recorded(call, mirrored):
    data, save = mirrored
    call(*prediction(data, save, "flipped", "-r", "one view", "--save-probabilities"))
    call(*prediction(data, save, "flipped", "-r", "four views", "--save-probabilities", "--views", 4))
    one, four = (probabilities(save / run / "val") for run in ("one view", "four views"))
    assert np.abs(one - four).max() > 1e-3
    records = [json.loads((save / run / "val" / "predictions.json").read_text()) for run in ("one view", "four views")]
    assert "views" not in records[0]
    assert records[1]["views"] == 4
    with pytest.raises(InputError, match="holds predictions with views 4, not None"):
        call(*prediction(data, save, "flipped", "-r", "four views"))


def test_a_network_without_mirrored_patches_has_one_view(call, mirrored):
    data, save = mirrored
    with pytest.raises(InputError, match=r"--views: .*no mirrored images.*--flip"):
        call(*prediction(data, save, "upright", "--views", 2))
    with pytest.raises(InputError, match=r"it has 4 views, not 5"):
        call(*prediction(data, save, "flipped", "--views", 5))


def test_soft_labels_of_other_views_are_never_mixed(call, mirrored, tmp_path):
    data, save = mirrored
    listed = tmp_path / "members.txt"
    listed.write_text(str(save / "flipped" / "FINAL_flipped_10.pth"))
    command = ["ensemble.py", "-d", data, "-s", save, "-e", "val", "--classes", "0,1,2", "--trained-networks", listed]
    call(*command, "-r", "ensemble of one view")
    with pytest.raises(InputError, match="holds soft labels with views None, not 4"):
        call(*command, "-r", "ensemble of four", "--views", 4)
    call(*command, "-r", "ensemble of four", "--views", 4, "--overwrite")
    label = save / "soft_labels" / "0_1_2" / "val" / "case_00001" / "mean_1.nii.gz"
    stored = sitk.GetArrayFromImage(sitk.ReadImage(str(label))) / 255
    call(*prediction(data, save, "flipped", "-r", "again", "--save-probabilities", "--views", 4))
    again = probabilities(save / "again" / "val")[1]  # in the axes of the scan's file, soft labels along LPS
    np.testing.assert_allclose(np.sort(stored, axis=None), np.sort(again, axis=None), atol=1 / 250)
