"""Stages 4 and 5: soft labels, the ensemble's own results, and the student."""

import json
import shlex
import shutil
import time

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from base.errors import InputError
from data.soft_labels import SoftLabels
from tests.material import SMALL, array_of, calibration_around, largest_components, rows_of, write_kidney
from utils.ensembling.leave_one_out import MemberStore

FIT = ["--classes", "0,1,2", "--receptive-field-size", 19, "--sample-size", 8]


@pytest.fixture
def saved(save, tmp_path):
    """Return a copy of the SAVE folder with its networks."""
    shutil.copytree(save, tmp_path / "SAVE")
    return tmp_path / "SAVE"


@pytest.fixture
def own_grid(tmp_path, call):
    """Return a DATA folder on the scans' original grids, and a SAVE folder with two networks trained on it."""
    data, save = tmp_path / "own" / "DATA", tmp_path / "own" / "SAVE"
    for number, split in enumerate(("train", "val")):
        write_kidney(data / split / f"case_{number:05d}", seed=number)
    call("resample_data.py", "-d", data, "--voxel-size", "none")
    for seed in (0, 1):
        command = ["training_network.py", *SMALL, "-d", data, "-s", save, "--classes", "0,1,2", "-i", 10]
        call(*command, "-x", seed, "-r", f"member {seed}")
    return data, save


def test_soft_labels_are_mean_and_deviation_of_the_members(call, own_grid):
    """Compare with the members' saved probabilities, which lie on the same grid; compare the calibration, too."""
    data, save = own_grid
    for member in ("member 0", "member 1"):
        weights = save / member / "FINAL*.pth"
        call(
            "testing_network.py",
            "-d",
            data,
            "-s",
            save,
            "-e",
            "val",
            "--network-weights",
            weights,
            "--save-probabilities",
        )
    call("ensemble.py", "-d", data, "-s", save, "-e", "val", *FIT, "--report-regions", "1+2")
    members = np.stack(
        [
            np.stack([array_of(save / m / "val" / f"case_00001_probability_{label}.nii.gz") for label in "012"])
            for m in ("member 0", "member 1")
        ]
    )
    folder = save / "soft_labels" / "0_1_2" / "val" / "case_00001"
    means = [sitk.ReadImage(str(folder / f"mean_{label}.nii.gz")) for label in "012"]
    # The resampled grid has LPS orientation; the scan's file does not.
    code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(
        sitk.ReadImage(str(data / "val" / "case_00001" / "imaging.nii.gz")).GetDirection()
    )
    for statistic, units, expected in (("mean", 255, members.mean(axis=0)), ("deviation", 510, members.std(axis=0))):
        for index, label in enumerate("012"):
            image = sitk.DICOMOrient(sitk.ReadImage(str(folder / f"{statistic}_{label}.nii.gz")), code)
            assert np.abs(sitk.GetArrayFromImage(image) / units - expected[index]).max() < 1 / 250
    assert (sum(sitk.GetArrayFromImage(image).astype(int) for image in means) == 255).all()
    prediction = array_of(save / "ensemble_c0-1-2_rf19_s8" / "val" / "case_00001_prediction.nii.gz")
    np.testing.assert_array_equal(prediction, members.mean(axis=0).argmax(axis=0))

    reference = sitk.ReadImage(str(data / "val" / "case_00001" / "segmentation.nii.gz"))
    for name, probabilities in (
        ("member 0", members[0]),
        ("member 1", members[1]),
        ("ensemble_c0-1-2_rf19_s8", members.mean(axis=0)),
    ):
        for row in rows_of(save / name / "val" / "metrics.csv"):
            labels = [int(label) for label in row["class"].split("+")]
            array, spacing_mm = sitk.GetArrayFromImage(reference), reference.GetSpacing()[::-1]
            expected = calibration_around(array, probabilities, spacing_mm, labels)
            assert (float(row["ece"]), float(row["brier"])) == pytest.approx(expected, abs=1e-4)
    assert row["class"] == "1+2"


def test_members_are_the_finished_networks_that_match_the_options(call, kidneys, saved):
    shutil.copytree(saved / "one", saved / "unfinished", ignore=shutil.ignore_patterns("FINAL*"))
    call("training_network.py", *SMALL, "-d", kidneys, "-s", saved, "--classes", "0,3", "-i", 1, "-r", "other classes")
    other_size = ["training_network.py", *SMALL, "--sample-size", 10, "-d", kidneys, "-s", saved, "--classes", "0,1,2"]
    call(*other_size, "-i", 1, "-r", "other size")
    output = call("ensemble.py", "-d", kidneys, "-s", saved, "-e", "val", *FIT)
    assert output.startswith("2 members:")
    assert "FINAL_one_30.pth" in output
    assert "FINAL_two_30.pth" in output
    assert "other" not in output
    record = json.loads((saved / "soft_labels" / "0_1_2" / "val" / "soft_labels.json").read_text())
    assert set(record["weights"]) == {"one", "two"}
    assert record["temperature"] == 1
    assert "3 members:" in call("ensemble.py", "-d", kidneys, "-s", saved, "-e", "test", "--classes", "0,1,2")


def test_members_are_read_from_a_list(call, kidneys, saved):
    listed = saved / "members.txt"
    listed.write_text(f"{saved / 'two' / 'FINAL_two_30.pth'}\r\n\r\n", encoding="utf-16")  # as PowerShell writes it
    output = call("ensemble.py", "-d", kidneys, "-s", saved, "-e", "val", *FIT, "--trained-networks", listed)
    assert output.startswith("1 member:")
    assert "FINAL_one" not in output


def test_the_ensemble_is_reported_with_its_members(call, kidneys, saved):
    call(
        "testing_network.py", "-d", kidneys, "-s", saved, "-e", "val", "--network-weights", saved / "one" / "FINAL*.pth"
    )
    more = ["--report-regions", "1+2", "--tolerance-mm", 6]
    output = call("ensemble.py", "-d", kidneys, "-s", saved, "-e", "val", *FIT, *more)
    folder = saved / "ensemble_c0-1-2_rf19_s8" / "val"
    assert json.loads((folder / "predictions.json").read_text())["tolerance_mm"] == 6
    dices = {
        name: [f"{float(row['dice']):.4f}" for row in rows_of(place / "metrics.csv")]
        for name, place in (("ensemble", folder), ("one", saved / "one" / "val"))
    }
    assert len(dices["ensemble"]) == 3
    for name, expected in (("ensemble", dices["ensemble"]), ("one", [*dices["one"], "-"])):
        (line,) = [line for line in output.splitlines() if line.endswith(f"  {name}")]
        assert line.split()[:-1] == expected
    (line,) = [line for line in output.splitlines() if line.endswith("  two")]
    assert "not measured" in line


def test_a_member_of_weight_zero_is_left_out(call, kidneys, saved):
    """Its validation Dice is 0; if it is the only member for a case, the weights cannot be normalized."""
    path = saved / "one" / "FINAL_one_30.pth"
    weights = torch.load(path, weights_only=True)
    weights["description"]["validation_dice"] = [0.0, 0.0]
    torch.save(weights, path)
    command = ["ensemble.py", "-d", kidneys, "-s", saved, "-e", "val", *FIT]
    call(*command, "--member-weights", "validation", "-r", "weighted")
    assert {row["member"] for row in rows_of(saved / "weighted" / "val" / "members.csv")} == {"two"}
    labels = saved / "soft_labels" / "0_1_2" / "val" / "case_00003"
    assert not any(array_of(labels / f"deviation_{name}.nii.gz").any() for name in "012")

    weights["description"] |= {"training_cases": [], "training_patients": []}
    torch.save(weights, path)  # the only network that was not trained on the train cases
    command[command.index("val")] = "train"
    with pytest.raises(InputError, match="--member-weights: the members for case_00000 have a validation Dice of 0"):
        call(*command, "--member-weights", "validation", "--cross-fit", "-r", "crossed")


def test_classes_that_validation_lacks_do_not_weigh_a_member(call, kidneys, saved):
    command = ["ensemble.py", "-d", kidneys, "-s", saved, "-e", "val", *FIT, "--member-weights", "validation"]
    for name, dices in (("one", [0.5, None]), ("two", [0.25, 0.75])):
        path = saved / name / f"FINAL_{name}_30.pth"
        weights = torch.load(path, weights_only=True)
        weights["description"]["validation_dice"] = dices
        torch.save(weights, path)
    call(*command, "-r", "weighted")
    record = json.loads((saved / "weighted" / "val" / "predictions.json").read_text())
    assert record["member_weights"] == {"one": 0.5, "two": 0.5}
    weights["description"]["validation_dice"] = [None, None]
    torch.save(weights, path)
    with pytest.raises(InputError, match="the validation patches of two held no foreground"):
        call(*command, "-r", "again")


def test_the_time_of_a_case_includes_only_its_prediction(call, kidneys, saved, monkeypatch):
    """Time to write soft labels and members' probabilities is not counted; a network's time is measured likewise."""
    clock = [0.0]

    def slowed(function):
        def call_slowly(*arguments):
            clock[0] += 1000
            return function(*arguments)

        return call_slowly

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(SoftLabels, "write", slowed(SoftLabels.write))
    monkeypatch.setattr(MemberStore, "add", slowed(MemberStore.add))
    call("ensemble.py", "-d", kidneys, "-s", saved, "-e", "val", *FIT, "-r", "timed")
    assert clock[0] == 3000  # two members, one case
    assert {float(row["seconds"]) for row in rows_of(saved / "timed" / "val" / "metrics.csv")} == {0}


def test_a_second_run_skips_finished_cases_and_other_members_are_refused(run, call, kidneys, saved):
    command = ["ensemble.py", "-d", kidneys, "-s", saved, "-e", "val", *FIT]
    call(*command)
    path = saved / "soft_labels" / "0_1_2" / "val" / "case_00003" / "mean_1.nii.gz"
    before = path.stat().st_mtime_ns
    call(*command)
    assert path.stat().st_mtime_ns == before
    shutil.rmtree(saved / "two")
    assert "--overwrite" in run(*command, status=2).stderr
    call(*command, "--overwrite")
    assert path.stat().st_mtime_ns > before


def test_overwriting_removes_earlier_uncertainty_maps(call, kidneys, saved):
    command = ["ensemble.py", "-d", kidneys, "-s", saved, "-e", "val", *FIT, "-r", "mapped"]
    call(*command, "--uncertainty-maps")
    folder = saved / "mapped" / "val"
    assert (folder / "case_00003_entropy.nii.gz").is_file()
    call(*command, "--overwrite")
    assert not list(folder.glob("*_entropy.nii.gz")) and not list(folder.glob("*_mutual_information.nii.gz"))


@pytest.fixture
def halved(call, kidneys, tmp_path):
    """Return a DATA folder with the validation case, the middle of its reference set to background."""
    data = tmp_path / "DATA"
    case = data / "val" / "case_00003"
    shutil.copytree(kidneys / "val" / "case_00003", case)
    image = sitk.ReadImage(str(case / "segmentation.nii.gz"))
    labels = sitk.GetArrayFromImage(image)
    middle = labels.shape[2] // 2  # slices are the file's first axis
    labels[:, :, middle - 1 : middle + 2] = 0
    halves = sitk.GetImageFromArray(labels)
    halves.CopyInformation(image)
    sitk.WriteImage(halves, str(case / "segmentation.nii.gz"))
    call("resample_data.py", "-d", data, "--voxel-size", 3, 3, 5)
    return data


def test_clipped_foreground_lies_within_the_references(call, halved, saved):
    """The reference has two components; with --keep-largest 1 the prediction keeps one of them."""
    clipped = ["-e", "val", *FIT, "--clip", "True", "--keep-largest", 1]
    assert "have no references to clip to" in call("ensemble.py", "-d", halved, "-s", saved, *clipped)
    (page,) = saved.glob("*/val/report.html")
    assert "have no references to clip to" in page.read_text(encoding="utf-8")
    reference = array_of(halved / "val" / "case_00003" / "segmentation.nii.gz")
    results = saved / "ensemble_c0-1-2_rf19_s8" / "val"
    prediction = array_of(results / "case_00003_prediction.nii.gz")
    assert (prediction[reference == 0] == 0).all()
    np.testing.assert_array_equal(prediction, largest_components(prediction))
    assert json.loads((results / "predictions.json").read_text())["keep_largest"] == 1

    folder = saved / "soft_labels" / "0_1_2" / "val" / "case_00003"
    means = np.stack([array_of(folder / f"mean_{label}.nii.gz").astype(int) for label in "012"])
    resampled = sitk.ReadImage(str(halved / "val" / "case_00003" / "segmentation_rs.nii.gz"))
    resampled_reference = sitk.GetArrayFromImage(resampled)
    outside = resampled_reference == 0
    assert (means.sum(axis=0) == 255).all()
    assert (means[0][outside] == 255).all()
    assert (means[0][~outside] < 255).any()
    decided = means.argmax(axis=0)
    assert (decided != largest_components(decided)).any()  # the soft labels keep both
    # Calibration is measured after clipping: outside the reference, foreground probabilities are 0.
    for row in rows_of(results / "metrics.csv"):
        spacing_mm, labels = resampled.GetSpacing()[::-1], [int(row["class"])]
        _, brier = calibration_around(resampled_reference, means / 255, spacing_mm, labels)
        assert float(row["brier"]) == pytest.approx(brier, abs=0.004)


def test_clip_needs_references(run, kidneys, saved):
    process = run("ensemble.py", "-d", kidneys, "-s", saved, "-e", "test", *FIT, "--clip", status=2)
    assert "case_00005 has no reference" in process.stderr


def test_temperature_softens_the_labels_not_the_predictions(call, kidneys, saved):
    command = ["ensemble.py", "-d", kidneys, "-s", saved, "-e", "val", *FIT]
    call(*command)
    call(*command, "--temperature", 3, "--soft-labels", saved / "softer", "-r", "softer run")
    path = "val/case_00003_prediction.nii.gz"
    np.testing.assert_array_equal(
        array_of(saved / "ensemble_c0-1-2_rf19_s8" / path), array_of(saved / "softer run" / path)
    )
    mean, softer = (
        np.stack([array_of(folder / "case_00003" / f"mean_{label}.nii.gz") for label in "012"])
        for folder in (saved / "soft_labels" / "0_1_2" / "val", saved / "softer" / "val")
    )
    assert softer.max(axis=0).mean() < mean.max(axis=0).mean()


@pytest.fixture
def with_soft_labels(call, kidneys, saved):
    call("ensemble.py", "-d", kidneys, "-s", saved, "-e", "train", *FIT)
    return saved


def student(kidneys, save, *more):
    return ["training_network.py", *SMALL, "-d", kidneys, "-s", save, "--classes", "0,1,2", "-i", 10, "--soft", *more]


def test_a_student_trains_on_soft_labels_and_is_no_ensemble_member(call, kidneys, with_soft_labels):
    call(*student(kidneys, with_soft_labels))
    name = "dil2D_rf19_s8_c0-1-2_CE+dice_soft-KL+dice-a0.1_i10_x0"
    record = json.loads((with_soft_labels / name / "experiment.json").read_text())
    assert set(record["soft_labels"]["weights"]) == {"one", "two"}
    assert (with_soft_labels / name / f"FINAL_{name}_10.pth").exists()
    output = call("ensemble.py", "-d", kidneys, "-s", with_soft_labels, "-e", "val", *FIT)
    assert output.startswith("2 members:")


def test_a_student_trains_on_unannotated_cases(run, call, kidneys, with_soft_labels, tmp_path):
    data = tmp_path / "DATA"
    shutil.copytree(kidneys, data)
    shutil.move(data / "test" / "case_00005", data / "train" / "case_00005")
    process = run(*student(data, with_soft_labels), status=2)
    assert "case_00005" in process.stderr
    assert "python ensemble.py" in process.stderr
    call("ensemble.py", "-d", data, "-s", with_soft_labels, "-e", "train", *FIT)
    call(*student(data, with_soft_labels, "-r", "student"))
    record = json.loads((with_soft_labels / "student" / "experiment.json").read_text())
    assert "case_00005" in record["training_cases"]


def test_a_student_trains_without_any_annotated_case(call, kidneys, with_soft_labels, tmp_path):
    """The ensemble's soft labels provide the classes and their locations."""
    data = tmp_path / "DATA"
    shutil.copytree(kidneys, data)
    for path in (data / "train").glob("*/segmentation*"):
        path.unlink()
    call("resample_data.py", "-d", data, "--voxel-size", 3, 3, 5)
    call("ensemble.py", "-d", data, "-s", with_soft_labels, "-e", "train", *FIT)
    call(*student(data, with_soft_labels, "-r", "student", "--normalization", "zscore"))
    record = json.loads((with_soft_labels / "student" / "experiment.json").read_text())
    assert len(record["training_cases"]) == 3
    assert record["classes"] == record["soft_labels"]["classes"]


def test_the_command_in_the_error_makes_the_missing_soft_labels(call, kidneys, saved):
    own = saved / "own labels"
    wanted = student(kidneys, saved, "--temperature", 3, "--soft-labels", own, "-r", "student")
    with pytest.raises(InputError) as refused:
        call(*wanted)
    named = shlex.split(str(refused.value).partition("python ensemble.py ")[2].replace(str(own), f"'{own}'"))
    assert ["--soft-labels", str(own), "--temperature", "3"] == named[-4:]
    call("ensemble.py", *named)
    call(*wanted)
    shutil.rmtree(own / "train" / "case_00000")
    with pytest.raises(InputError, match=r"the soft labels are missing.* --temperature 3$"):
        call(*wanted[:-1], "another")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--classes", "0,3"], "there are no soft labels"),
        (["--temperature", 2], "made at 1"),
        (["--soft-labels", "elsewhere"], "there are no soft labels"),
    ],
)
def test_unsuitable_soft_labels_are_refused_with_a_remedy(run, kidneys, with_soft_labels, more, problem):
    process = run(*student(kidneys, with_soft_labels, *more), status=2)
    assert problem in process.stderr
    assert "python ensemble.py" in process.stderr


def test_soft_labels_of_another_grid_are_refused(run, call, kidneys, with_soft_labels, tmp_path):
    data = tmp_path / "DATA"
    shutil.copytree(kidneys, data)
    call("resample_data.py", "-d", data, "--voxel-size", 4, 4, 5)
    process = run(*student(data, with_soft_labels), status=2)
    assert "another scan, voxel grid or reference" in process.stderr
    assert "python ensemble.py" in process.stderr


def test_results_of_a_changed_scan_are_recomputed(call, kidneys, saved, tmp_path):
    data = tmp_path / "DATA"
    shutil.copytree(kidneys, data)
    command = ["ensemble.py", "-d", data, "-s", saved, "-e", "test", *FIT]
    call(*command)

    def stamps(case):
        soft = saved / "soft_labels" / "0_1_2" / "test" / case / "mean_1.nii.gz"
        prediction = saved / "ensemble_c0-1-2_rf19_s8" / "test" / f"{case}_prediction.nii.gz"
        return [path.stat().st_mtime_ns for path in (soft, prediction)]

    before = {case: stamps(case) for case in ("case_00004", "case_00005")}
    write_kidney(data / "test" / "case_00004", seed=17)
    call("resample_data.py", "-d", data, "--voxel-size", 3, 3, 5)
    call(*command)
    assert stamps("case_00005") == before["case_00005"]
    assert all(new > old for new, old in zip(stamps("case_00004"), before["case_00004"]))
