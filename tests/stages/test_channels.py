"""Scans of several channels, from raw folder to report: members of different channels, and a student of one channel."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from base.errors import InputError
from data.case_folder import REFERENCE, image_name
from data.cases import find_cases
from data.images.image_files import write_image
from data.phantom import make_channels
from networks.weights import load_weights
from tests.material import SMALL, rows_of

TINY = {"shape": (10, 26, 32), "spacing_mm": (12.0, 7.0, 7.0), "channels": 2}
VOXELS = ["--voxel-size", 7, 7, 12]
SPLIT = {"train": [0, 1, 2, 4], "val": [6], "test": [8, 3]}  # odd ones have a late channel on another grid


def write_case(folder, seed):
    images, reference = make_channels(seed, **TINY)
    for channel, image in images.items():
        write_image(image, folder / image_name(channel))
    write_image(reference, folder / REFERENCE)


@pytest.fixture(scope="module")
def data(tmp_path_factory, call):
    folder = tmp_path_factory.mktemp("channels") / "DATA"
    for split, seeds in SPLIT.items():
        for seed in seeds:
            write_case(folder / split / f"case_{seed}", seed)
    assert "note: case_3: channel late is on another grid" in call("resample_data", "-d", folder, *VOXELS)
    return folder


def train(call, data, save, name, *more):
    options = ["-d", data, "-s", save, "--classes", "0,1,2", "-i", 12, "-r", name, "--augmentation", "strong"]
    return call("training_network", *SMALL, *options, *more)


@pytest.fixture(scope="module")
def save(data, call):
    """Return SAVE with an ensemble: a network of both channels, and one of the late channel; and its student."""
    save = data.parent / "SAVE"
    train(call, data, save, "both")
    train(call, data, save, "late", "--channels", "late", "-x", 1)
    for split in ("train", "test"):
        call("ensemble", "-d", data, "-s", save, "-e", split, "--classes", "0,1,2", "-r", "two")
    train(call, data, save, "student", "--channels", "early", "--soft")
    return save


def weights(save, name):
    return save / name / f"FINAL_{name}_12.pth"


def predict(call, data, save, name, *more):
    return call(
        "testing_network", "-d", data, "-s", save, "-e", "test", "--network-weights", weights(save, name), *more
    )


def test_weights_know_their_channels_and_how_each_is_normalized(save):
    both, late, student = (load_weights(weights(save, name)).description for name in ("both", "late", "student"))
    assert (both.channels, late.channels, student.channels) == (("early", "late"), ("late",), ("early",))
    assert [one.kind for one in both.normalizations] == ["ct", "ct"]
    assert both.normalizations[1] == late.normalizations[0] != both.normalizations[0]
    assert both.intensities[0] == student.intensities[0]
    assert student.is_student


def test_a_student_of_one_channel_learns_from_teachers_of_two_and_is_compared_with_them(save, data, call):
    predict(call, data, save, "student")
    output = predict(call, data, save, "both", "--compare", "student")
    assert "dice" in output
    assert {row["case"] for row in rows_of(save / "student" / "test" / "metrics.csv")} >= {"case_8", "case_3"}
    for case in find_cases(data, "test"):
        prediction = sitk.ReadImage(str(save / "student" / "test" / f"{case.name}_prediction.nii.gz"))
        scan = sitk.ReadImage(str(case.folder / "imaging_early.nii.gz"))
        assert prediction.GetSize() == scan.GetSize()
        np.testing.assert_allclose(prediction.GetOrigin(), scan.GetOrigin(), atol=1e-3)


def test_a_student_needs_no_file_of_the_channels_that_it_does_not_read(save, data, call, tmp_path):
    """The clinic that has one sequence alone: the same prediction as on the cases of both."""
    predict(call, data, save, "student", "-r", "of_both")
    for seed in SPLIT["test"]:
        folder = tmp_path / "DATA" / "test" / f"case_{seed}"
        shutil.copytree(data / "test" / f"case_{seed}", folder)
        for path in (*folder.glob("imaging_late*"), folder / "resampling.json"):
            path.unlink()
    call("resample_data", "-d", tmp_path / "DATA", *VOXELS)
    predict(call, tmp_path / "DATA", save, "student", "-r", "of_one")
    for seed in SPLIT["test"]:
        name = f"case_{seed}_prediction.nii.gz"
        one, other = (sitk.ReadImage(str(save / run / "test" / name)) for run in ("of_both", "of_one"))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(one), sitk.GetArrayFromImage(other))
    with pytest.raises(
        InputError, match=r"has no channel late, which .*FINAL_both_12.pth reads; its channels are early"
    ):
        predict(call, tmp_path / "DATA", save, "both", "-r", "new")


def test_channels_are_picked_by_name_whatever_their_order(save, data, call, tmp_path):
    shutil.copytree(data / "test" / "case_8", tmp_path / "DATA" / "test" / "case_8")
    call("resample_data", "-d", tmp_path / "DATA", *VOXELS, "--channels", "late,early")
    (case,) = find_cases(tmp_path / "DATA", "test")
    assert case.channels == ("late", "early")
    predict(call, data, save, "both", "-r", "in_order")
    predict(call, tmp_path / "DATA", save, "both", "-r", "reversed")
    one, other = (
        sitk.ReadImage(str(save / run / "test" / "case_8_prediction.nii.gz")) for run in ("in_order", "reversed")
    )
    np.testing.assert_array_equal(sitk.GetArrayFromImage(one), sitk.GetArrayFromImage(other))


def test_a_single_channel_of_another_name_is_refused(save, data, call, tmp_path):
    scan = data / "test" / "case_8"
    command = ["-o", tmp_path / "out", "-w", weights(save, "late")]
    with pytest.raises(InputError, match="holds no prediction of"):
        call("predict", "-i", f"early={scan / image_name('early')}", *command)
    assert "1 predicted" in call("predict", "-i", f"late={scan / image_name('late')}", *command)


def test_the_order_of_training_is_that_of_the_option(data, call, tmp_path):
    train(call, data, tmp_path, "reversed", "--channels", "late,early", "--normalization", "zscore,ct")
    record = json.loads((tmp_path / "reversed" / "experiment.json").read_text())
    assert record["channels"] == ["late", "early"]
    assert [one["kind"] for one in record["normalization"]] == ["zscore", "ct"]
    train(call, data, tmp_path, "reversed", "--channels", "late,early", "--normalization", "zscore,ct", "--resume")
    with pytest.raises(InputError, match="was begun with"):
        train(call, data, tmp_path, "reversed", "--channels", "early,late", "--normalization", "zscore,ct", "--resume")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--channels", "T1"], "has no channel T1, which --channels reads; its channels are early, late"),
        (["--normalization", "ct,ct,ct"], "--normalization: 3 kinds for 2 channels"),
    ],
)
def test_channels_that_do_not_suit_are_refused(data, call, tmp_path, options, problem):
    with pytest.raises(InputError, match=problem):
        train(call, data, tmp_path, "wrong", *options)
    assert not (tmp_path / "wrong").exists()


def test_a_case_without_a_channel_is_refused_in_stage_1(data, run, tmp_path):
    shutil.copytree(data, tmp_path / "DATA")
    for path in (tmp_path / "DATA").glob("*/case_4/*late*"):
        path.unlink()
    process = run("resample_data.py", "-d", tmp_path / "DATA", *VOXELS, status=2)
    assert "refused: case_4: " in process.stdout
    assert "has no channel late; it has early" in process.stderr
    with pytest.raises(InputError, match="the case is not resampled"):
        find_cases(tmp_path / "DATA", "train")


def test_swapped_files_are_warned_of_in_training(data, run, tmp_path):
    shutil.copytree(data, tmp_path / "DATA")
    folder = tmp_path / "DATA" / "train" / "case_4"
    early, late = (folder / f"imaging_{name}.nii.gz" for name in ("early", "late"))
    early.rename(folder / "kept.nii.gz"), late.rename(early), (folder / "kept.nii.gz").rename(late)
    run("resample_data.py", "-d", tmp_path / "DATA", *VOXELS)
    options = ["-d", tmp_path / "DATA", "-s", tmp_path / "SAVE", "--classes", "0,1,2", "-i", 1]
    errors = run("training_network.py", *SMALL, *options).stderr
    assert "case_4: its intensities of early and late look like those of the other in most cases" in errors
    assert errors.count("look like those of the other") == 1
