"""Options and files that would cost somebody's data: refused in one line, with everything as it was."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from base.errors import InputError
from base.folder_lock import locked
from tests.material import SMALL, rows_of, write_kidney


def contents(folder: Path) -> dict[str, str]:
    """Checksum of every file below a folder, but for the cache, which trainings may fill."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "cache" not in path.parts
    }


@pytest.fixture
def work(kidneys, save, tmp_path):
    """A folder with DATA and SAVE of its own, two networks in it."""
    shutil.copytree(kidneys, tmp_path / "DATA")
    shutil.copytree(save, tmp_path / "SAVE")
    return tmp_path


def average(work, *more):
    return ["ensemble.py", "-d", work / "DATA", "-s", work / "SAVE", "-e", "val", "--classes", "0,1,2", *more]


def predict(work, *more):
    weights = ["--network-weights", work / "SAVE" / "one" / "FINAL_one_30.pth"]
    return ["testing_network.py", "-d", work / "DATA", "-s", work / "SAVE", "-e", "val", *weights, *more]


def train(work, *more):
    where = ["-d", work / "DATA", "-s", work / "SAVE", "-r", "new"]
    return ["training_network.py", *SMALL, *where, "--classes", "0,1,2", "-i", 2, *more]


def soft_labels_among_the_scans(work):
    return average(work, "-e", "train", "--soft-labels", work / "DATA"), "DATA/train: holds case_00000"


def soft_labels_among_the_scans_with_force(work):
    command = average(work, "-e", "train", "--soft-labels", work / "DATA", "--overwrite")
    return command, "DATA/train: holds case_00000"


def soft_labels_in_the_folder_of_the_run(work):
    return average(work, "-r", "run", "--soft-labels", work / "SAVE" / "run"), "--soft-labels"


def results_among_the_scans(work):
    shutil.copytree(work / "DATA" / "val", work / "DATA" / "scans" / "val")
    return predict(work, "-s", work / "DATA", "-r", "scans"), "scans/val: holds case_00003"


def training_among_the_scans(work):
    return train(work, "-s", work / "DATA", "-r", "val"), "DATA/val: holds case_00003"


def experiment_that_is_a_path(work):
    path = work / "SAVE" / "one" / "FINAL_one_30.pth"
    content = torch.load(path, weights_only=True)
    content["description"]["experiment"] = "../../elsewhere"
    torch.save(content, path)
    return predict(work), "FINAL_one_30.pth: holds weights that contradict their description (experiment:"


def class_that_is_a_path(work):
    path = work / "SAVE" / "one" / "FINAL_one_30.pth"
    content = torch.load(path, weights_only=True)
    content["description"]["classes"]["names"][1] = "../../elsewhere"
    torch.save(content, path)
    return predict(work, "--save-probabilities"), "(classes:"


@pytest.mark.parametrize(
    "prepare",
    [
        soft_labels_among_the_scans,
        soft_labels_among_the_scans_with_force,
        soft_labels_in_the_folder_of_the_run,
        results_among_the_scans,
        training_among_the_scans,
        experiment_that_is_a_path,
        class_that_is_a_path,
    ],
    ids=lambda prepare: prepare.__name__,
)
def test_it_is_refused_and_nothing_has_changed(run, work, prepare):
    command, problem = prepare(work)
    before = contents(work)
    ended = run(*command, status=2)
    assert problem in ended.stderr
    assert contents(work) == before


def test_soft_labels_take_away_no_file_but_their_own(call, work):
    command = average(work)[1:]
    call("ensemble", *command)
    folder = work / "SAVE" / "soft_labels" / "0_1_2" / "val"
    strangers = [folder / "case_00003" / "mine.nii.gz", folder / "notes" / "mean_1.nii.gz", folder / "readme.txt"]
    for path in strangers:
        path.parent.mkdir(exist_ok=True)
        path.write_text("somebody's")
    call("ensemble", *command, "--overwrite")
    assert all(path.read_text() == "somebody's" for path in strangers)


def test_a_part_of_a_table_is_known_by_its_name_and_columns(call, work):
    call("testing_network", *predict(work)[1:])
    folder = work / "SAVE" / "one" / "val"
    for name in ("metrics.part_of_thesis.csv", "metrics.part1.csv"):
        (folder / name).write_text("case,mine\ncase_00003,1\n")
    call("testing_network", *predict(work)[1:])
    for name in ("metrics.part_of_thesis.csv", "metrics.part1.csv"):
        assert (folder / name).read_text() == "case,mine\ncase_00003,1\n"


def test_stores_of_killed_ensembles_go(call, work):
    store = work / "SAVE" / "ensemble_c0-1-2" / "val" / ".members-0123abcd"
    call("ensemble", *average(work)[1:])
    store.mkdir()
    (store / "0.probabilities").write_bytes(b"voxels")
    call("ensemble", *average(work)[1:])
    assert not store.exists()


@pytest.mark.parametrize(
    ("command", "folder"),
    [
        (train, "SAVE/new"),
        (predict, "SAVE/one/val"),
        (average, "SAVE/ensemble_c0-1-2/val"),
        (average, "SAVE/soft_labels/0_1_2/val"),
        (lambda work: ["resample_data.py", "-d", work / "DATA"], "DATA"),
    ],
)
def test_a_folder_in_use_is_refused_with_the_process_that_uses_it(run, work, command, folder):
    before = contents(work)
    with locked(work / folder):
        ended = run(*command(work), status=2)
    assert f"{folder}: is in use by" in ended.stderr
    assert f"process {os.getpid()} on" in ended.stderr
    assert contents(work) == before


def cut(path: Path) -> None:
    """Cut a file to 60% of its bytes."""
    os.truncate(path, path.stat().st_size * 6 // 10)


def test_originals_that_changed_since_stage_1_are_no_measure(run, work):
    for name, noun in (("segmentation.nii.gz", "reference"), ("imaging.nii.gz", "scan")):
        path = work / "DATA" / "val" / "case_00003" / name
        whole = path.read_bytes()
        cut(path)
        assert f"{name}: is not the {noun} that was resampled" in run(*predict(work), status=2).stderr
        path.write_bytes(whole)
        image = sitk.ReadImage(str(path))
        sitk.WriteImage(sitk.GetImageFromArray(np.zeros_like(sitk.GetArrayFromImage(image))), str(path))
        assert f"{name}: is not the {noun} that was resampled" in run(*predict(work), status=2).stderr
        path.write_bytes(whole)


def flip(path: Path) -> None:
    """Mirror the voxels of an image: another file of the same size, grid and values."""
    image = sitk.ReadImage(str(path))
    flipped = sitk.GetImageFromArray(sitk.GetArrayFromImage(image)[::-1, ::-1].copy())
    flipped.CopyInformation(image)
    sitk.WriteImage(flipped, str(path))


def test_what_was_measured_on_another_reference_is_refused_until_it_is_measured_again(call, work):
    """By all stages that use it, whether their results are there or not; a copy of the same file is the same."""
    call("testing_network", *predict(work)[1:])
    call("ensemble", *average(work)[1:])
    path = work / "DATA" / "val" / "case_00003" / "segmentation.nii.gz"
    os.utime(path, (1e9, 1e9))
    call("testing_network", *predict(work)[1:])
    row = rows_of(work / "SAVE" / "one" / "val" / "metrics.csv")[0]
    flip(path)
    for script, *command in (predict(work), average(work), average(work, "-r", "new"), train(work)):
        with pytest.raises(InputError, match=r"segmentation\.nii\.gz: is not the reference that was resampled"):
            call(script, *command)
    assert not (work / "SAVE" / "new" / "experiment.json").exists()
    call("resample_data", "-d", work / "DATA", "--voxel-size", 3, 3, 5)
    ensemble = call("ensemble", *average(work)[1:])
    assert ensemble.count("not measured on these cases") == 2  # members, one of them on the other reference
    with pytest.raises(InputError, match="was another scan, reference or voxel grid"):
        call("testing_network", *predict(work, "-r", "other", "--compare", "one")[1:])
    call("testing_network", *predict(work)[1:])
    assert rows_of(work / "SAVE" / "one" / "val" / "metrics.csv")[0]["dice"] != row["dice"]


@pytest.mark.parametrize("command", [predict, average])
def test_a_scan_on_another_scale_is_told_and_marked(run, call, work, command):
    data = work / "DATA" / "val"
    for name, change in (("shifted", lambda scan: scan + 1024), ("scaled", lambda scan: (scan + 1000) / 2000)):
        shutil.copytree(data / "case_00003", data / name)
        path = data / name / "imaging.nii.gz"
        scan = sitk.ReadImage(str(path), sitk.sitkFloat32)
        sitk.WriteImage(change(scan), str(path))
    call("resample_data", "-d", work / "DATA", "--voxel-size", 3, 3, 5)
    ended = run(*command(work, "-r", "run"))
    lines = [line for line in ended.stderr.replace("\r", "\n").splitlines() if "warning" in line]
    assert [line.split(":")[1].strip() for line in lines] == ["scaled", "shifted"]
    assert all("of training scans -" in line for line in lines)
    rows = rows_of(work / "SAVE" / "run" / "val" / "metrics.csv")
    assert {(row["case"], row["intensity_warning"]) for row in rows} == {
        ("case_00003", "0"),
        ("scaled", "1"),
        ("shifted", "1"),
    }


def test_results_of_two_data_sets_are_not_mixed(run, call, work):
    call("testing_network", *predict(work)[1:])
    call("ensemble", *average(work)[1:])
    other = shutil.copytree(work / "DATA", work / "OTHER")
    (other / "val" / "case_00003").rename(other / "val" / "another")
    before = contents(work)
    for command in (predict(work), average(work)):
        ended = run(*command, "-d", other, status=2)
        assert "of cases that are not in the split (case_00003)" in ended.stderr
    assert contents(work) == before
    call("ensemble", *average(work, "-d", other, "-r", "other")[1:])
    after = contents(work)
    assert all(after[name] == before[name] for name in before if not name.endswith("soft_labels.json"))
    soft = json.loads((work / "SAVE" / "soft_labels" / "0_1_2" / "val" / "soft_labels.json").read_text())
    assert soft["cases"].keys() == {"another", "case_00003"}
    call("testing_network", *predict(work, "-d", other, "--overwrite")[1:])
    assert not list((work / "SAVE" / "one" / "val").glob("case_00003_*"))


def test_an_ensemble_over_a_tested_network_leaves_nothing_of_it(call, work):
    call("testing_network", *predict(work)[1:])
    more = ["-r", "run", "--save-probabilities", "--compare", "one"]
    call("testing_network", *predict(work, *more)[1:])
    call("ensemble", *average(work, "-r", "run", "--overwrite")[1:])
    left = {path.name for path in (work / "SAVE" / "run" / "val").iterdir()}
    results = {"case_00003_prediction.nii.gz", "case_00003_overlay.png", "metrics.csv", "predictions.json"}
    assert left == results | {"members.csv", "uncertainty.csv"}


@pytest.mark.parametrize("command", [predict, average])
def test_a_run_is_not_clipped_to_itself_nor_to_predictions_of_another_scan(run, call, work, command):
    call("testing_network", *predict(work)[1:])
    call("testing_network", *predict(work, "-r", "run")[1:])
    before = contents(work)
    assert "--clip-to: run is the run itself" in run(*command(work, "-r", "run", "--clip-to", "run"), status=2).stderr
    assert contents(work) == before
    flip(work / "DATA" / "val" / "case_00003" / "imaging.nii.gz")
    call("resample_data", "-d", work / "DATA", "--voxel-size", 3, 3, 5)
    ended = run(*command(work, "-r", "second", "--clip-to", "one"), status=2)
    assert "case_00003_prediction.nii.gz: was predicted of another scan" in ended.stderr


def test_a_damaged_first_stage_and_damaged_soft_labels_are_no_results(run, call, work):
    call("testing_network", *predict(work)[1:])
    prediction = work / "SAVE" / "one" / "val" / "case_00003_prediction.nii.gz"
    cut(prediction)
    ended = run(*predict(work, "-r", "second", "--clip-to", "one"), status=2)
    assert "case_00003_prediction.nii.gz: is damaged" in ended.stderr
    call("ensemble", *average(work)[1:], "-e", "train")
    soft = ["--soft", "--predict-uncertainty"]
    for name in ("mean_1", "deviation_2"):
        path = work / "SAVE" / "soft_labels" / "0_1_2" / "train" / "case_00001" / f"{name}.nii.gz"
        whole = path.read_bytes()
        cut(path)
        ended = run(*train(work, *soft), status=2)
        assert f"{name}.nii.gz: is damaged" in ended.stderr
        assert "remove the file, and make them with: python ensemble.py" in ended.stderr
        path.write_bytes(whole)
    call("training_network", *train(work, *soft)[1:])


def test_soft_labels_are_known_by_their_content_wherever_they_lie(call, work):
    call("ensemble", *average(work)[1:], "-e", "train", "--soft-labels", work / "here")
    command = [*train(work)[1:], "--soft", "--checkpoint-every", "1"]
    call("training_network", *command, "--soft-labels", work / "here")
    (work / "SAVE" / "new" / "FINAL_new_2.pth").unlink()
    (work / "here").rename(work / "there")
    assert "resumed at iteration 2" in call("training_network", *command, "--soft-labels", work / "there", "--resume")


def test_a_damaged_checkpoint_and_damaged_weights_are_told_with_a_way_out(run, call, work):
    call("training_network", *train(work)[1:])
    last, final = (work / "SAVE" / "new" / name for name in ("LAST.pth", "FINAL_new_2.pth"))
    whole = final.read_bytes()
    content = bytearray(whole)
    content[len(content) // 2] ^= 4
    final.write_bytes(content)
    assert "remove it: the same command writes it again" in run(*train(work, "--resume"), status=2).stderr
    final.unlink()
    call("training_network", *train(work, "--resume")[1:])
    one = torch.load(final, weights_only=True)["state"]
    other = torch.load(last, weights_only=True)["training"]["network"]
    assert all(torch.equal(one[name], other[name]) for name in one)
    final.unlink()
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 4
    last.write_bytes(content)
    assert "LAST.pth: cannot be read as weights" in run(*train(work, "--resume"), status=2).stderr


def test_one_scan_that_kills_its_reader_costs_itself_alone(run, tmp_path):
    for number in range(2):
        write_kidney(tmp_path / "SET" / f"case_{number}", seed=number)
    os.mkfifo(tmp_path / "SET" / "case_0" / "more")  # what is no part of a case is in nobody's way
    damaged = tmp_path / "SET" / "case_2"
    damaged.mkdir()
    (damaged / "imaging.nii.gz").symlink_to("/dev/zero")
    ended = run("resample_data.py", "-d", tmp_path / "SET", "-o", tmp_path / "OUT", "--jobs", 2, status=2)
    assert "refused: case_2: " in ended.stdout
    assert "is not a regular file" in ended.stderr
    assert sorted(path.parent.name for path in (tmp_path / "OUT").rglob("resampling.json")) == ["case_0", "case_1"]
