"""Options and files that would destroy or mix up data are refused in one line, and all files stay unchanged."""

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
    """Return the checksum of every file below a folder except in the cache, which trainings may fill."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "cache" not in path.parts
    }


@pytest.fixture
def work(kidneys, save, tmp_path):
    """Return a folder with copies of DATA and of SAVE, which holds two networks."""
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


def soft_labels_among_the_scans_with_overwrite(work):
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
        soft_labels_among_the_scans_with_overwrite,
        soft_labels_in_the_folder_of_the_run,
        results_among_the_scans,
        training_among_the_scans,
        experiment_that_is_a_path,
        class_that_is_a_path,
    ],
    ids=lambda prepare: prepare.__name__,
)
def test_harmful_commands_are_refused_and_all_files_stay_unchanged(run, work, prepare):
    command, problem = prepare(work)
    before = contents(work)
    ended = run(*command, status=2)
    assert problem in ended.stderr
    assert contents(work) == before


def test_overwriting_soft_labels_removes_no_other_files(call, work):
    command = average(work)[1:]
    call("ensemble", *command)
    folder = work / "SAVE" / "soft_labels" / "0_1_2" / "val"
    foreign_files = [folder / "case_00003" / "mine.nii.gz", folder / "notes" / "mean_1.nii.gz", folder / "readme.txt"]
    for path in foreign_files:
        path.parent.mkdir(exist_ok=True)
        path.write_text("somebody's")
    call("ensemble", *command, "--overwrite")
    assert all(path.read_text() == "somebody's" for path in foreign_files)


def test_foreign_tables_are_not_taken_for_parts_of_a_table(call, work):
    call("testing_network", *predict(work)[1:])
    folder = work / "SAVE" / "one" / "val"
    for name in ("metrics.part_of_thesis.csv", "metrics.part1.csv"):
        (folder / name).write_text("case,mine\ncase_00003,1\n")
    call("testing_network", *predict(work)[1:])
    for name in ("metrics.part_of_thesis.csv", "metrics.part1.csv"):
        assert (folder / name).read_text() == "case,mine\ncase_00003,1\n"


def test_stores_of_killed_ensembles_are_removed(call, work):
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
def test_a_folder_in_use_is_refused_and_the_error_names_the_process(run, work, command, folder):
    before = contents(work)
    with locked(work / folder):
        ended = run(*command(work), status=2)
    assert f"{folder}: is in use by" in ended.stderr
    assert f"process {os.getpid()} on" in ended.stderr
    assert contents(work) == before


def cut(path: Path) -> None:
    """Truncate a file to 60% of its size."""
    os.truncate(path, path.stat().st_size * 6 // 10)


def test_originals_that_changed_since_stage_1_are_refused(run, work):
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
    """Mirror the voxels of an image; its size, grid and set of values stay the same."""
    image = sitk.ReadImage(str(path))
    flipped = sitk.GetImageFromArray(sitk.GetArrayFromImage(image)[::-1, ::-1].copy())
    flipped.CopyInformation(image)
    sitk.WriteImage(flipped, str(path))


def test_a_replaced_reference_is_refused_until_resampled_and_measured_again(call, work):
    """All stages that use it refuse it, with or without earlier results. A new modification time alone is no change."""
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
    assert ensemble.count("not measured on these cases") == 2  # both members, one for its other reference
    with pytest.raises(InputError, match="was another scan, reference or voxel grid"):
        call("testing_network", *predict(work, "-r", "other", "--compare", "one")[1:])
    call("testing_network", *predict(work)[1:])
    assert rows_of(work / "SAVE" / "one" / "val" / "metrics.csv")[0]["dice"] != row["dice"]


def test_a_scan_that_was_moved_is_refused_until_resampled_and_predicted_where_it_is(call, work):
    """Only headers change: the scan lies elsewhere. With --voxel-size none, not even resampled voxels change."""
    keep = ["resample_data", "-d", work / "DATA", "--voxel-size", "none"]
    shutil.rmtree(work / "SAVE")
    call(*keep)
    call("training_network", *train(work, "-r", "one", "-i", 30)[1:])
    commands = [predict(work)[1:], average(work)[1:]]
    call("testing_network", *commands[0])
    call("ensemble", *commands[1])
    case = work / "DATA" / "val" / "case_00003"
    for name in ("imaging.nii.gz", "segmentation.nii.gz"):
        image = sitk.ReadImage(str(case / name))
        image.SetOrigin([position + 50 for position in image.GetOrigin()])
        image.SetSpacing([2 * mm for mm in image.GetSpacing()])
        sitk.WriteImage(image, str(case / name))
    for script, command in zip(("testing_network", "ensemble"), commands):
        with pytest.raises(InputError, match="lies on another grid than when it was resampled"):
            call(script, *command)
    call(*keep)
    before = {row["class"]: float(row["reference_volume_ml"]) for row in rows_of(work / "SAVE/one/val/metrics.csv")}
    for script, command in zip(("testing_network", "ensemble"), commands):
        call(script, *command)
    rows = rows_of(work / "SAVE" / "one" / "val" / "metrics.csv")
    for row in rows:
        assert float(row["reference_volume_ml"]) == pytest.approx(8 * before[row["class"]], rel=1e-4)
    moved = sitk.ReadImage(str(case / "imaging.nii.gz"))
    prediction = sitk.ReadImage(str(work / "SAVE" / "one" / "val" / "case_00003_prediction.nii.gz"))
    assert prediction.GetOrigin() == pytest.approx(moved.GetOrigin())
    soft = sitk.ReadImage(str(next((work / "SAVE" / "soft_labels" / "0_1_2" / "val" / "case_00003").glob("mean_1*"))))
    assert soft.GetSpacing() == pytest.approx(sitk.DICOMOrient(moved, "LPS").GetSpacing())


@pytest.mark.parametrize("command", [predict, average])
def test_a_scan_on_another_intensity_scale_causes_a_warning_and_is_marked(run, call, work, command):
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


def test_an_ensemble_that_overwrites_a_network_run_removes_all_its_files(call, work):
    call("testing_network", *predict(work)[1:])
    more = ["-r", "run", "--save-probabilities", "--compare", "one"]
    call("testing_network", *predict(work, *more)[1:])
    call("ensemble", *average(work, "-r", "run", "--overwrite")[1:])
    left = {path.name for path in (work / "SAVE" / "run" / "val").iterdir()}
    results = {"case_00003_prediction.nii.gz", "case_00003_overlay.png", "metrics.csv", "predictions.json"}
    results |= {"calibration.csv", "trust.csv", "quality.csv", "report.html", "summary.json"}
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


def test_damaged_tables_of_a_run_are_made_again_as_the_error_says(run, call, work):
    call("ensemble", *average(work, "-r", "run")[1:])
    folder = work / "SAVE" / "run" / "val"
    names = ("metrics", "calibration", "trust", "members", "uncertainty")
    tables = {folder / f"{name}.csv": (folder / f"{name}.csv").read_bytes() for name in names}
    for path in tables:
        cut(path)
    assert (
        "is damaged (it is truncated); predict again with --overwrite"
        in run(*average(work, "-r", "run"), status=2).stderr
    )
    call("ensemble", *average(work, "-r", "run", "--overwrite")[1:])
    for path, content in tables.items():
        assert path.name == "metrics.csv" or path.read_bytes() == content  # metrics.csv holds times
    assert len(rows_of(folder / "metrics.csv")) == 2


def test_damaged_first_stage_predictions_and_soft_labels_are_refused(run, call, work):
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


def test_soft_labels_are_identified_by_content_not_by_path(call, work):
    call("ensemble", *average(work)[1:], "-e", "train", "--soft-labels", work / "here")
    command = [*train(work)[1:], "--soft", "--checkpoint-every", "1"]
    call("training_network", *command, "--soft-labels", work / "here")
    (work / "SAVE" / "new" / "FINAL_new_2.pth").unlink()
    (work / "here").rename(work / "there")
    assert "resumed at iteration 2" in call("training_network", *command, "--soft-labels", work / "there", "--resume")


def test_damaged_checkpoints_and_weights_are_refused_with_a_remedy(run, call, work):
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


def test_a_scan_that_would_kill_its_reader_is_refused_alone(run, tmp_path):
    for number in range(2):
        write_kidney(tmp_path / "SET" / f"case_{number}", seed=number)
    os.mkfifo(tmp_path / "SET" / "case_0" / "more")  # a file that belongs to no case does no harm
    damaged = tmp_path / "SET" / "case_2"
    damaged.mkdir()
    (damaged / "imaging.nii.gz").symlink_to("/dev/zero")
    ended = run("resample_data.py", "-d", tmp_path / "SET", "-o", tmp_path / "OUT", "--jobs", 2, status=2)
    assert "refused: case_2: " in ended.stdout
    assert "is not a regular file" in ended.stderr
    assert sorted(path.parent.name for path in (tmp_path / "OUT").rglob("resampling.json")) == ["case_0", "case_1"]
