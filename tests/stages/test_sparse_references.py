"""References in which most voxels are not annotated, from stage 1 to a student."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from base.errors import InputError
from tests.material import SMALL, image_of, make_kidney, rows_of, write_case

IGNORE = 4


def scribbled(reference: sitk.Image, seed: int, share: float = 0.2) -> sitk.Image:
    """Return a reference in which only some random voxels, of every class, keep their labels."""
    labels = sitk.GetArrayFromImage(reference)
    labels[np.random.default_rng(seed).random(labels.shape) > share] = IGNORE
    sparse = sitk.GetImageFromArray(labels)
    sparse.CopyInformation(reference)
    return sparse


def array_of(path) -> np.ndarray:
    """Return the voxels (z, y, x) along LPS."""
    return sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS"))


@pytest.fixture(scope="module")
def sparse(tmp_path_factory, call):
    """Return DATA of kidneys with scribbles, one train case with nothing annotated, and SAVE with two networks."""
    folder = tmp_path_factory.mktemp("sparse")
    data, save = folder / "DATA", folder / "SAVE"
    for number, split in enumerate(("train", "train", "val")):
        image, reference = make_kidney(number)
        share = 0 if number == 1 else 0.2
        write_case(data / split / f"case_{number:05d}", image, scribbled(reference, number, share))
    output = call("resample_data.py", "-d", data, "--voxel-size", 3, 3, 5, "--ignore-label", IGNORE)
    for seed in (0, 1):
        command = ["training_network.py", *SMALL, "-d", data, "-s", save, "--classes", "0,1,2", "-i", 10]
        call(*command, "-x", seed, "-r", f"member {seed}")
    return data, save, output


def test_a_case_with_nothing_annotated_has_no_reference(sparse, call):
    data, save, output = sparse
    record = json.loads((data / "train" / "case_00001" / "resampling.json").read_text())
    assert record["labels"] is None
    assert not (data / "train" / "case_00001" / "segmentation_rs.nii.gz").exists()
    trained = json.loads((save / "member 0" / "experiment.json").read_text())
    assert trained["training_cases"] == ["case_00000"]
    again = call("resample_data.py", "-d", data, "--voxel-size", 3, 3, 5, "--ignore-label", IGNORE)
    for text in (output, again):
        assert "case_00001: nothing of its reference is annotated" in text
    assert "0 resampled, 3 done before" in again


def test_the_ignore_label_is_no_label_of_the_data(sparse):
    data, _, _ = sparse
    record = json.loads((data / "train" / "case_00000" / "resampling.json").read_text())
    assert set(record["labels"]) <= {"0", "1", "2"}
    assert record["options"]["ignore_label"] == IGNORE
    resampled = sitk.ReadImage(str(data / "train" / "case_00000" / "segmentation_rs.nii.gz"))
    assert set(np.unique(sitk.GetArrayFromImage(resampled))) == {0, 1, 2, 255}


def test_dice_is_that_of_the_annotated_voxels_and_distances_are_not_measured(sparse, call):
    data, save, _ = sparse
    call("testing_network.py", "-d", data, "-s", save, "-e", "val", "--network-weights", save / "member 0" / "FINAL*")
    folder = save / "member 0" / "val"
    prediction, reference = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        for path in (folder / "case_00002_prediction.nii.gz", data / "val" / "case_00002" / "segmentation.nii.gz")
    )
    known = reference != IGNORE
    for row in rows_of(folder / "metrics.csv"):
        own, true = (labels[known] == int(row["class"]) for labels in (prediction, reference))
        assert float(row["dice"]) == pytest.approx(2 * (own & true).sum() / (own.sum() + true.sum()), abs=1e-5)
        assert row["hausdorff_mm"] == row["surface_dice"] == row["reference_volume_ml"] == ""
        assert row["ece"] != ""


def test_the_dice_of_annotated_voxels_promises_nothing_about_whole_scans(sparse, call, tmp_path):
    data, _, _ = sparse
    save = shutil.copytree(sparse[1], tmp_path / "SAVE")
    command = ["testing_network.py", "-d", data, "-s", save, "-e", "val"]
    command += ["--network-weights", save / "member 0" / "FINAL*.pth"]
    printed = call(*command)
    assert "note: 1 references are annotated in part" in printed
    assert "no predicted Dice: it is calibrated by predicting validation cases with references that are" in printed
    folder = save / "member 0" / "val"
    assert not (folder / "quality.csv").exists() and not (folder / "annotate_next.csv").exists()
    (warning,) = [one for one in json.loads((folder / "summary.json").read_text())["warnings"] if "in part" in one]
    assert warning in (folder / "report.html").read_text(encoding="utf-8")
    assert not list((save / "member 0").glob("*.trust.json"))


def test_a_calibration_on_annotated_voxels_of_an_earlier_version_is_removed(sparse, call, tmp_path):
    """That on another case of the same name stays."""
    data, _, _ = sparse
    save = shutil.copytree(sparse[1], tmp_path / "SAVE")
    (weights,) = (save / "member 0").glob("FINAL*.pth")
    command = ["testing_network.py", "-d", data, "-s", save, "-e", "val", "--network-weights", weights]
    call(*command)
    record = json.loads((save / "member 0" / "val" / "predictions.json").read_text())
    line = {"intercept": 0.9, "slope": 0.0, "margin": None, "patients": 1}
    calibration = {"estimator": "expected_dice", "lines": {"1": line}, "weights": record["weights"], "clip_to": None}
    calibration |= {"cases": record["cases"], "views": 1, "keep_largest": 0}
    path = weights.with_suffix(".trust.json")
    others = {name: {key: "0" * 64 for key in content} for name, content in record["cases"].items()}
    path.write_text(json.dumps({**calibration, "cases": others}))
    call(*command)
    assert path.exists()
    path.write_text(json.dumps(calibration))
    assert "calibrated on references that are annotated in part; removed" in call(*command)
    assert not path.exists()
    assert {row["predicted_dice"] for row in rows_of(save / "member 0" / "val" / "trust.csv")} == {""}


def test_a_student_learns_from_soft_labels_where_nothing_is_annotated(sparse, call):
    data, save, _ = sparse
    call("ensemble.py", "-d", data, "-s", save, "-e", "train", "--classes", "0,1,2")
    ensemble = save / "ensemble_c0-1-2" / "train"
    assert {row["case"] for row in rows_of(ensemble / "members.csv")} == {"case_00000"}
    command = ["training_network.py", *SMALL, "-d", data, "-s", save, "--classes", "0,1,2", "-i", 10, "--soft"]
    call(*command, "-r", "student")
    assert json.loads((save / "student" / "experiment.json").read_text())["training_cases"] == [
        "case_00000",
        "case_00001",
    ]


def test_a_class_cannot_be_the_ignore_label(sparse, call):
    data, save, _ = sparse
    command = ["training_network.py", *SMALL, "-d", data, "-s", save, "--classes", f"0,1,{IGNORE}", "-i", 10]
    with pytest.raises(InputError, match=f"class {IGNORE} is the label of voxels that are not annotated"):
        call(*command, "-r", "refused")


def test_the_background_cannot_be_the_ignore_label(run, tmp_path):
    process = run("resample_data.py", "-d", tmp_path, "--ignore-label", 0, status=2)
    assert "0 is the background" in process.stderr


def test_nnunets_label_named_ignore_needs_no_option(call, tmp_path):
    source = tmp_path / "Dataset001_Kidney"
    labels = {"background": 0, "kidney": 1, "ignore": 255}
    names = {"channel_names": {"0": "CT"}, "file_ending": ".nii.gz", "numTraining": 1, "labels": labels}
    for folder in ("imagesTr", "labelsTr"):
        (source / folder).mkdir(parents=True)
    (source / "dataset.json").write_text(json.dumps(names))
    image = np.random.default_rng(0).normal(size=(6, 7, 8)).astype(np.float32)
    reference = np.full(image.shape, 255, np.uint8)
    reference[2:4, 2:4], reference[0] = 1, 0
    sitk.WriteImage(image_of(image), str(source / "imagesTr" / "a_0000.nii.gz"))
    sitk.WriteImage(image_of(reference), str(source / "labelsTr" / "a.nii.gz"))
    call("resample_data.py", "-d", source, "-o", tmp_path / "DATA", "--voxel-size", "none")
    record = json.loads((tmp_path / "DATA" / "a" / "resampling.json").read_text())
    assert record["labels"] == {"0": 56, "1": 32}
    assert record["options"]["ignore_label"] == 255
    # Without the data set, nobody else knows.
    call("resample_data.py", "-d", tmp_path / "DATA", "--voxel-size", 2, 2, 2)
    record = json.loads((tmp_path / "DATA" / "a" / "resampling.json").read_text())
    assert record["options"]["ignore_label"] == 255 and set(record["labels"]) == {"0", "1"}


@pytest.fixture(scope="module")
def marked(sparse, tmp_path_factory, call):
    """Return DATA of the same kidneys with marks in every structure of every slice, and a copy of SAVE.

    Every second slice shows no structure.
    """
    data, save, _ = sparse
    folder = tmp_path_factory.mktemp("marked")
    for name, source in (("DATA", data), ("SAVE", save)):
        shutil.copytree(source, folder / name)
    for path in (folder / "DATA").rglob("segmentation.nii.gz"):
        reference = sitk.ReadImage(str(path))
        for z in range(0, reference.GetSize()[2], 2):
            reference[:, :, z] = IGNORE
        sitk.WriteImage(reference, str(path))
    resample = ["resample_data.py", "-d", folder / "DATA", "--voxel-size", 3, 3, 5, "--ignore-label", IGNORE]
    assert "3 resampled" in call(*resample, "--scribbles", "slices")
    return folder / "DATA", folder / "SAVE"


def marked_components(mask: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Return the connected components of a mask, in its slices, that hold or touch a mark."""
    structure = np.zeros((3, 3, 3))
    structure[1] = 1
    components, _ = ndimage.label(mask | marks, structure)
    return np.isin(components, np.setdiff1d(components[marks], [0])) & mask


@pytest.fixture(scope="module")
def unclaimed(marked, call):
    """Return the soft labels of the same DATA in which nobody says that every structure has a mark."""
    data, save = marked
    copy = save.parent / "UNCLAIMED"
    shutil.copytree(data, copy)
    for path in copy.rglob("resampling.json"):
        record = json.loads(path.read_text())
        del record["options"]["scribbles"]
        path.write_text(json.dumps(record))
    folder = save / "unclaimed_soft_labels"
    command = ["ensemble.py", "-d", copy, "-s", save, "--classes", "0,1,2", "-e", "train", "-r", "unclaimed"]
    call(*command, "--soft-labels", folder)
    return folder


def test_soft_labels_keep_only_what_is_connected_to_a_mark(marked, unclaimed, call):
    data, save = marked
    call("ensemble.py", "-d", data, "-s", save, "--classes", "0,1,2", "-e", "train", "-r", "marked")
    reference = array_of(data / "train" / "case_00000" / "segmentation_rs.nii.gz")
    changed = 0
    for label in (1, 2):
        before, after = (
            array_of(folder / "train" / "case_00000" / f"mean_{label}.nii.gz").astype(int)
            for folder in (unclaimed, save / "soft_labels" / "0_1_2")
        )
        for level in (1, 64, 128, 192):  # a unit may be rounded otherwise
            expected = marked_components(before >= level, reference == label)
            assert not (after[~expected] > level).any()
            assert (after[expected] >= level - 1).all()
        changed += np.count_nonzero(abs(after - before) > 1)
    assert changed


def test_soft_labels_made_without_the_claim_are_not_those_with_it(marked, unclaimed, call):
    data, save = marked
    command = ["training_network.py", *SMALL, "-d", data, "-s", save, "--classes", "0,1,2", "-i", 10, "-r", "refused"]
    with pytest.raises(InputError, match="made of another scan, voxel grid or reference"):
        call(*command, "--soft", "--soft-labels", unclaimed)


def test_components_without_a_mark_count_as_false_in_the_choice(marked, call):
    data, save = marked
    command = ["testing_network.py", "-d", data, "-s", save, "-e", "val"]
    command += ["--network-weights", save / "member 0" / "FINAL*.pth"]
    for run, kept in (("all", 0), ("one", 1), ("chosen", "auto")):
        call(*command, "-r", run, "--keep-largest", kept)
    (path,) = (save / "member 0").glob("FINAL*.keep_largest.json")
    choice = json.loads(path.read_text())
    reference = array_of(data / "val" / "case_00002" / "segmentation.nii.gz")
    predicted = {run: array_of(save / run / "val" / "case_00002_prediction.nii.gz") for run in ("all", "one")}
    labels = predicted["all"]
    known = sum(marked_components(labels == label, reference == label) for label in (1, 2))
    judged = (reference != IGNORE) | ((labels > 0) & (known == 0))
    assert judged.sum() > (reference != IGNORE).sum()
    for run, count in (("all", "0"), ("one", "1")):
        for label in (1, 2):
            own, true = (predicted[run] == label) & judged, reference == label
            expected = 2 * (own & true).sum() / (own.sum() + true.sum())
            assert choice["dice"][str(label)][count] == pytest.approx(expected, abs=1e-6)


def test_scribbles_mean_nothing_where_all_is_annotated(run, tmp_path):
    image, reference = make_kidney(0)
    write_case(tmp_path / "case_00000", image, reference)
    process = run("resample_data.py", "-d", tmp_path, "--scribbles", "slices", status=2)
    assert "--scribbles: means nothing where all voxels are annotated" in process.stderr
