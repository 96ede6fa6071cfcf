"""Resampling (stage 1) as a user runs it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import SimpleITK as sitk

from data.phantom import make_phantom
from tests.conftest import ROOT
from tests.material import image_of, write_case, write_kidney


@pytest.fixture
def folder(tmp_path):
    """Return a folder of three KiTS19 cases that are not resampled."""
    for number in range(3):
        write_kidney(tmp_path / "DATA" / f"case_{number:05d}", seed=number)
    return tmp_path / "DATA"


@pytest.fixture
def decathlon(tmp_path):
    """Return a data set as in the Medical Segmentation Decathlon: two training pairs and a test image."""
    folder = tmp_path / "Task99_Kidney"
    for kind in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / kind).mkdir(parents=True)
    image, reference = make_phantom(0)
    for name in ("kidney_1", "kidney_2"):
        sitk.WriteImage(image, str(folder / "imagesTr" / f"{name}.nii.gz"))
        sitk.WriteImage(reference, str(folder / "labelsTr" / f"{name}.nii.gz"))
    sitk.WriteImage(image, str(folder / "imagesTs" / "kidney_3.nii.gz"))
    pairs = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in ("kidney_1", "kidney_2")]
    (folder / "dataset.json").write_text(json.dumps({"training": pairs, "test": ["./imagesTs/kidney_3.nii.gz"]}))
    return folder


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*_rs.nii.gz")}


def test_cases_are_resampled_in_place_and_reported(run, folder):
    output = run("resample_data.py", "-d", folder).stdout
    assert "3 resampled, 0 done before, 0 refused" in output
    for number in range(3):
        case = folder / f"case_{number:05d}"
        assert case.name in output
        image, reference = (sitk.ReadImage(str(case / f"{name}_rs.nii.gz")) for name in ("imaging", "segmentation"))
        assert image.GetSpacing() == reference.GetSpacing() == (1.5, 1.5, 2.5)
        np.testing.assert_allclose(image.GetDirection(), np.eye(3).ravel(), atol=1e-6)
        assert set(np.unique(sitk.GetArrayFromImage(reference))) == {0, 1, 2}
        record = json.loads((case / "resampling.json").read_text())
        counts = np.bincount(sitk.GetArrayFromImage(reference).ravel())
        assert record["labels"] == {str(label): int(n) for label, n in enumerate(counts)}


def test_finished_cases_are_skipped_and_other_options_resample_them_again(run, folder):
    run("resample_data.py", "-d", folder, "--voxel-size", 4, 4, 5)
    before = stamps(folder)
    assert "0 resampled, 3 done before" in run("resample_data.py", "-d", folder, "--voxel-size", 4, 4, 5).stdout
    assert stamps(folder) == before
    assert (
        "3 resampled, 0 done before" in run("resample_data.py", "-d", folder, "--voxel-size", 4, 4, 4, "-j", 2).stdout
    )
    image = sitk.ReadImage(str(next(folder.rglob("imaging_rs.nii.gz"))))
    assert image.GetSpacing() == (4, 4, 4)


def test_a_replaced_scan_is_resampled_again(run, folder):
    run("resample_data.py", "-d", folder, "--voxel-size", 4, 4, 5)
    write_kidney(folder / "case_00001", seed=9)
    assert "1 resampled, 2 done before" in run("resample_data.py", "-d", folder, "--voxel-size", 4, 4, 5).stdout


def test_a_killed_run_is_continued(run, tmp_path):
    folder = tmp_path / "DATA"
    for number in range(8):
        image, reference = make_phantom(number)
        write_case(folder / f"case_{number:05d}", image, reference)
    process = subprocess.Popen(
        [sys.executable, "resample_data.py", "-d", folder],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list(folder.rglob("resampling.json")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(list(folder.rglob("resampling.json")))
    output = run("resample_data.py", "-d", folder).stdout
    assert "0 refused" in output
    counted = int(output.split(" resampled,")[0].split()[-1])
    assert 0 < counted <= 8 - done
    assert len(list(folder.rglob("resampling.json"))) == 8


def test_ctrl_c_gives_one_line_and_status_130(tmp_path):
    """A terminal sends SIGINT to every process of the group."""
    folder = tmp_path / "DATA"
    for number in range(8):
        image, reference = make_phantom(number)
        write_case(folder / f"case_{number:05d}", image, reference)
    command = [sys.executable, "resample_data.py", "-d", folder, "-j", "2"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored if tests run in the background
    )
    while not list(folder.rglob("resampling.json")):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("stopped")
    assert not list(folder.rglob(".*"))


def test_bad_cases_are_refused_with_a_reason_and_the_others_resampled(run, folder):
    image, reference = make_phantom(0)
    bad = {
        "case_half": (image, sitk.Cast(reference, sitk.sitkFloat32) * 0.5, "not whole numbers"),
        "case_grid": (image, reference[:, :, 1:], "not on the grid of its image"),
        "case_negative": (image, sitk.Cast(reference, sitk.sitkInt16) - 1, "labels -1"),
    }
    for name, (scan, labels, _) in bad.items():
        write_case(folder / name, scan, labels)
    process = run("resample_data.py", "-d", folder, "--voxel-size", 4, 4, 5, status=2)
    for name, (_, _, problem) in bad.items():
        assert any(problem in line for line in process.stdout.splitlines() if line.startswith(f"refused: {name}"))
    assert "3 resampled, 0 done before, 3 refused" in process.stdout
    assert process.stderr.splitlines()[-1].startswith("error: ")
    assert not (folder / "case_half" / "imaging_rs.nii.gz").exists()


def test_grids_that_differ_by_rounding_are_equal(run, tmp_path):
    image, reference = make_phantom(0)
    reference.SetOrigin([mm + 5e-4 for mm in image.GetOrigin()])
    write_case(tmp_path / "DATA" / "case", image, reference)
    assert "0 refused" in run("resample_data.py", "-d", tmp_path / "DATA", "--voxel-size", 4, 4, 5).stdout


def test_a_flat_layout_needs_an_output_folder_where_originals_are_linked(run, decathlon, tmp_path):
    assert "-o OUT" in run("resample_data.py", "-d", decathlon, status=2).stderr
    output = tmp_path / "OUT"
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": ["kidney_1"], "val": ["kidney_2"], "test": ["kidney_3"]}))
    run("resample_data.py", "-d", decathlon, "-o", output, "--voxel-size", 4, 4, 5, "--split-file", split)
    assert (output / "train/kidney_1/imaging.nii.gz").resolve() == decathlon / "imagesTr/kidney_1.nii.gz"
    assert (output / "val/kidney_2/segmentation.nii.gz").resolve() == decathlon / "labelsTr/kidney_2.nii.gz"
    assert (output / "test/kidney_3/imaging_rs.nii.gz").exists()
    assert not (output / "test/kidney_3/segmentation_rs.nii.gz").exists()
    again = run("resample_data.py", "-d", decathlon, "-o", output, "--voxel-size", 4, 4, 5, "--split-file", split)
    assert "0 resampled, 3 done before" in again.stdout


def test_shares_split_the_cases_and_a_second_run_does_not_move_them(run, folder):
    shares = ["--split", 34, 33, 33, "--seed", 4, "--voxel-size", 4, 4, 5]
    run("resample_data.py", "-d", folder, *shares)
    places = {path.parent.parent.name: path.parent.name for path in folder.rglob("resampling.json")}
    assert set(places) == {"train", "val", "test"}
    assert "0 resampled, 3 done before" in run("resample_data.py", "-d", folder, *shares).stdout
    assert places == {path.parent.parent.name: path.parent.name for path in folder.rglob("resampling.json")}


def test_moves_between_splits_and_what_the_splits_hold_besides_are_told(run, decathlon, tmp_path):
    command = ["resample_data.py", "-d", decathlon, "-o", tmp_path / "OUT", "--voxel-size", "none"]
    split, patients = tmp_path / "split.json", tmp_path / "patients.csv"
    patients.write_text("kidney_1,p\nkidney_2,p\nkidney_3,q\n")
    split.write_text(json.dumps({"train": ["kidney_1", "kidney_2"], "test": ["kidney_3"]}))
    output = run(*command, "--split-file", split, "--patients", patients).stdout
    assert "moved between splits" not in output
    split.write_text(json.dumps({"train": ["kidney_1"], "test": ["kidney_3"]}))
    error = run(*command, "--split-file", split, status=2).stderr
    assert "the split file leaves out cases that train, val or test hold: kidney_2; move those folders away" in error
    split.write_text(json.dumps({"train": ["kidney_3"]}))
    (tmp_path / "OUT" / "val").mkdir()
    shutil.move(tmp_path / "OUT" / "train" / "kidney_2", tmp_path / "OUT" / "val")
    ended = run(*command, "--split-file", split, status=2)
    assert "note: moved between splits: kidney_3 (test to train)" in ended.stdout
    assert "warning: patients with cases in several splits: p;" in ended.stderr


def test_a_patient_stays_known_when_its_case_is_refused_once(run, decathlon, tmp_path):
    command = ["resample_data.py", "-d", decathlon, "-o", tmp_path / "OUT", "--voxel-size", "none"]
    (tmp_path / "patients.csv").write_text("kidney_1,p\nkidney_2,p\nkidney_3,q\n")
    run(*command, "--patients", tmp_path / "patients.csv")
    scan = decathlon / "imagesTr" / "kidney_2.nii.gz"
    whole = scan.read_bytes()
    scan.write_bytes(whole[:100])
    assert "refused" in run(*command, status=2).stderr
    scan.write_bytes(whole)
    run(*command)
    records = [json.loads(path.read_text()) for path in sorted((tmp_path / "OUT").rglob("resampling.json"))]
    assert [record["patient"] for record in records] == ["p", "p", "q"]


def test_channels_that_change_their_places_in_a_file_are_resampled_again(run, tmp_path):
    image, reference = make_phantom(0)
    source = tmp_path / "SET"
    for folder in ("imagesTr", "labelsTr"):
        (source / folder).mkdir(parents=True)
    sitk.WriteImage(sitk.JoinSeries([image, image + 400]), str(source / "imagesTr" / "a.nii.gz"))
    sitk.WriteImage(reference, str(source / "labelsTr" / "a.nii.gz"))
    training = [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}]
    means = []
    for names in ("T1", "T2"), ("T2", "T1"):
        description = {"modality": dict(zip("01", names)), "training": training}
        (source / "dataset.json").write_text(json.dumps(description))
        run("resample_data.py", "-d", source, "-o", tmp_path / "OUT", "--voxel-size", "none", "--channels", "T2")
        resampled = sitk.ReadImage(str(tmp_path / "OUT" / "a" / "imaging_T2_rs.nii.gz"))
        means.append(sitk.GetArrayViewFromImage(resampled).mean())
    assert means[0] - means[1] == pytest.approx(400, abs=1)


def test_a_case_in_another_split_than_its_list_is_told(run, tmp_path):
    image, reference = make_phantom(0)
    source = tmp_path / "SET"
    for folder in ("imagesTr", "labelsTr"):
        (source / folder).mkdir(parents=True)
    for name in "ab":
        sitk.WriteImage(image, str(source / "imagesTr" / f"{name}.nii.gz"))
        sitk.WriteImage(reference, str(source / "labelsTr" / f"{name}.nii.gz"))
    entries = [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in "ab"]
    command = ["resample_data.py", "-d", source, "-o", tmp_path / "OUT", "--voxel-size", "none"]
    for first, second in ((0, 1), (1, 0)):
        lists = {"training": [entries[first]], "validation": [entries[second]]}
        (source / "dataset.json").write_text(json.dumps(lists))
        output = run(*command).stdout
    assert "a (train, in the data set val), b (val, in the data set train)" in output


def test_a_case_cannot_be_called_like_a_split(run, tmp_path):
    image, reference = make_phantom(0)
    for name in ("a", "test"):
        for folder, one in (("SCANS", image), ("LABELS", reference)):
            (tmp_path / folder).mkdir(exist_ok=True)
            sitk.WriteImage(one, str(tmp_path / folder / f"{name}.nii.gz"))
    folders = ["--images", tmp_path / "SCANS", "--references", tmp_path / "LABELS", "-o", tmp_path / "OUT"]
    error = run("resample_data.py", *folders, "--voxel-size", "none", status=2).stderr
    assert "its name is that of a split; rename it" in error
    assert not (tmp_path / "OUT" / "test").exists()


def test_cases_moved_by_hand_stay_where_they_are(run, folder):
    run("resample_data.py", "-d", folder, "--voxel-size", 4, 4, 5)
    (folder / "val").mkdir()
    shutil.move(folder / "case_00001", folder / "val" / "case_00001")
    assert "0 resampled, 3 done before" in run("resample_data.py", "-d", folder, "--voxel-size", 4, 4, 5).stdout
    assert (folder / "val" / "case_00001" / "resampling.json").exists()


def test_voxel_size_none_keeps_the_grid(run, tmp_path):
    image = image_of(np.arange(60, dtype=np.int16).reshape(3, 4, 5), (0.7, 0.8, 2.0), (1.0, 2.0, 3.0))
    write_case(tmp_path / "DATA" / "case", image, None)
    run("resample_data.py", "-d", tmp_path / "DATA", "--voxel-size", "none")
    resampled = sitk.ReadImage(str(tmp_path / "DATA" / "case" / "imaging_rs.nii.gz"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(resampled), sitk.GetArrayFromImage(image))


def test_none_in_place_of_a_number_keeps_the_slices_of_each_scan(run, tmp_path):
    for name, thickness_mm in (("thin", 2.0), ("thick", 6.0)):
        image = image_of(np.zeros((5, 6, 7), np.int16), (0.75, 0.5, thickness_mm), (1.0, 2.0, 3.0))
        write_case(tmp_path / "DATA" / name, image, None)
    run("resample_data.py", "-d", tmp_path / "DATA", "--voxel-size", 1.5, 1.5, "none")
    for name, thickness_mm in (("thin", 2.0), ("thick", 6.0)):
        resampled = sitk.ReadImage(str(tmp_path / "DATA" / name / "imaging_rs.nii.gz"))
        assert resampled.GetSpacing() == (1.5, 1.5, thickness_mm)
        assert resampled.GetSize() == (4, 2, 5)
    assert (
        "0 resampled, 2 done before"
        in run("resample_data.py", "-d", tmp_path / "DATA", "--voxel-size", 1.5, 1.5, "none").stdout
    )
