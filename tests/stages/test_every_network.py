"""Every architecture is trained, tested, and averaged in one ensemble."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from base.errors import InputError
from data.images.image_files import Grid
from networks import ARCHITECTURES
from tests.material import array_of, rows_of

OPTIONS = ["--classes", "0,1,2", "-b", 2, "-i", 3, "--features", 2, "--sample-size", 8, "--visdom-port", 0]
MAPS = ("entropy", "mutual_information")


@pytest.fixture(scope="module")
def save(tmp_path_factory, call, kidneys):
    """Return a SAVE folder with a small network of every architecture, tested on val, and their ensemble on val."""
    folder = tmp_path_factory.mktemp("every")
    for name, architecture in ARCHITECTURES.items():
        size = ["--receptive-field-size", min(architecture.receptive_fields)]
        fold = ["--fold", "1/2" if architecture.dimensions == 2 else "2/2"]
        loss = ["--loss", "CE" if architecture.dimensions == 2 else "dice"]
        call("training_network", "-n", name, *size, *fold, *loss, *OPTIONS, "-d", kidneys, "-s", folder, "-r", name)
        weights = folder / name / "FINAL*.pth"
        call("testing_network", "-d", kidneys, "-s", folder, "-e", "val", "--network-weights", weights)
    common = ["-d", kidneys, "-s", folder, "--classes", "0,1,2"]
    call("ensemble", *common, "-e", "val", "--uncertainty-maps")
    return folder


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_predictions_lie_on_the_scans_grid(kidneys, save, name):
    prediction = sitk.ReadImage(str(save / name / "val" / "case_00003_prediction.nii.gz"))
    assert Grid.of(prediction) == Grid.of(sitk.ReadImage(str(kidneys / "val" / "case_00003" / "imaging.nii.gz")))
    assert set(np.unique(sitk.GetArrayViewFromImage(prediction))) <= {0, 1, 2}


def test_all_networks_are_members_and_their_contributions_are_recorded(save):
    record = json.loads((save / "ensemble_c0-1-2" / "val" / "predictions.json").read_text())
    assert set(record["weights"]) == set(ARCHITECTURES)
    rows = rows_of(save / "ensemble_c0-1-2" / "val" / "members.csv")
    assert {row["member"] for row in rows} == set(ARCHITECTURES)
    assert len(rows) == 2 * len(ARCHITECTURES)
    for row in rows:
        assert 0 <= float(row["dice_without"]) <= 1
        assert float(row[f"disagreement {row['member']}"]) == 0
        others = [float(row[f"disagreement {name}"]) for name in ARCHITECTURES if name != row["member"]]
        assert all(0 <= value <= 1 for value in others)


def test_uncertainty_maps_lie_on_the_scans_grid_and_are_ranked(kidneys, save):
    folder = save / "ensemble_c0-1-2" / "val"
    scan = Grid.of(sitk.ReadImage(str(kidneys / "val" / "case_00003" / "imaging.nii.gz")))
    for name in MAPS:
        image = sitk.ReadImage(str(folder / f"case_00003_{name}.nii.gz"))
        assert Grid.of(image) == scan
        values = sitk.GetArrayViewFromImage(image)
        assert values.min() >= 0
        assert 0 < values.max() <= np.log(3) + 1e-4
    assert (
        array_of(folder / f"case_00003_{MAPS[1]}.nii.gz") <= array_of(folder / f"case_00003_{MAPS[0]}.nii.gz") + 1e-4
    ).all()
    assert {row["map"] for row in rows_of(folder / "uncertainty.csv")} == {*MAPS, "deviation"}


def test_uncertainty_maps_are_optional_and_can_be_added_later(call, kidneys, save, tmp_path):
    shutil.copytree(save / "dil2d", tmp_path / "SAVE" / "dil2d")
    common = ["-d", kidneys, "-s", tmp_path / "SAVE", "--classes", "0,1,2", "-e", "val"]
    call("ensemble", *common)
    folder = tmp_path / "SAVE" / "ensemble_c0-1-2" / "val"
    assert not list(folder.glob("*entropy*"))
    call("ensemble", *common, "--uncertainty-maps")
    assert list(folder.glob("*entropy*"))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["-n", "UNet3D"], {"unet3d"}),
        (["--receptive-field-size", 19], {"dil2d", "dil3d"}),
        (["--receptive-field-size", 19, "-n", "dil3d"], {"dil3d"}),
    ],
)
def test_options_select_the_members(call, kidneys, save, tmp_path, more, expected):
    call(
        "ensemble",
        "-d",
        kidneys,
        "-s",
        save,
        "--classes",
        "0,1,2",
        "-e",
        "val",
        *more,
        "--soft-labels",
        tmp_path,
        "-r",
        tmp_path.name,
    )
    record = json.loads((save / tmp_path.name / "val" / "predictions.json").read_text())
    assert set(record["weights"]) == expected


def test_cross_fitted_soft_labels_are_out_of_fold(call, kidneys, save, tmp_path):
    """2D networks are trained without the first fold, 3D networks without the second; each labels its left-out fold."""
    common = ["-d", kidneys, "-s", save, "--classes", "0,1,2", "-e", "train", "--soft-labels", tmp_path]
    call("ensemble", *common, "--cross-fit")
    rows = rows_of(save / "ensemble_c0-1-2_crossfit" / "train" / "members.csv")
    trained_on = {
        name: json.loads((save / name / "experiment.json").read_text())["training_cases"] for name in ARCHITECTURES
    }
    assert {row["case"] for row in rows} == {"case_00000", "case_00001", "case_00002"}
    for case in ("case_00000", "case_00001", "case_00002"):
        members = {row["member"] for row in rows if row["case"] == case}
        assert members == {name for name, cases in trained_on.items() if case not in cases}
        assert members
    record = json.loads((tmp_path / "train" / "soft_labels.json").read_text())
    assert record["cross_fit"] is True


def test_cross_fitting_refuses_a_case_that_every_member_was_trained_on(call, kidneys, save, tmp_path):
    common = ["-d", kidneys, "-s", save, "--classes", "0,1,2", "-e", "train", "--soft-labels", tmp_path]
    with pytest.raises(InputError, match=r"--cross-fit: every member was trained on case_0000\d"):
        call("ensemble", *common, "--cross-fit", "-n", "dil2D")


def test_validation_weights_are_the_mean_dice_of_the_members(call, kidneys, save, tmp_path):
    common = ["-d", kidneys, "-s", save, "--classes", "0,1,2", "-e", "val", "--soft-labels", tmp_path]
    call("ensemble", *common, "--member-weights", "validation", "-r", "weighted")
    record = json.loads((save / "weighted" / "val" / "predictions.json").read_text())
    for name, weight in record["member_weights"].items():
        last = rows_of(save / name / "log.csv")[-1]
        assert weight == pytest.approx((float(last["dice_1"]) + float(last["dice_2"])) / 2)
    equal = save / "soft_labels" / "0_1_2" / "val" / "case_00003" / "mean_1.nii.gz"
    weighted = tmp_path / "val" / "case_00003" / "mean_1.nii.gz"
    assert (array_of(equal) != array_of(weighted)).any()


def test_overlap_and_memory_limit_change_the_sliding_window(call, kidneys, save):
    """A U-Net's windows overlap as requested; a 3D ResNet uses windows where one pass exceeds the memory limit."""
    common = ["-d", kidneys, "-s", save, "-e", "val", "--save-probabilities"]
    for network, options in (("unet3d", ["--overlap", 0]), ("resnet3d", ["--memory-limit", 1e-6])):
        weights = save / network / "FINAL*.pth"
        call("testing_network", *common, "--network-weights", weights, "-r", f"{network} plain")
        call("testing_network", *common, "--network-weights", weights, "-r", f"{network} other", *options)
        plain, other = (
            array_of(save / f"{network} {kind}" / "val" / "case_00003_probability_1.nii.gz")
            for kind in ("plain", "other")
        )
        assert np.abs(plain - other).max() > 1e-4
