"""Prediction of single scans (predict.py) as a user runs it."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from base.errors import InputError
from data.scan_files import ScanSource
from stages.predictor import Predictor
from stages.scan_options import PredictorOptions
from stages.scan_record import ScanRecord
from tests.material import SMALL, make_scan, rows_of

TEST_CASES = ("case_00004", "case_00005")


def weights(save, name: str) -> list:
    return [save / name / "FINAL*.pth"]


@pytest.fixture(scope="module")
def tested(tmp_path_factory, call, kidneys, save):
    """Return DATA and a copy of SAVE, where the test cases are predicted with network one, and with both."""
    folder = tmp_path_factory.mktemp("tested") / "SAVE"
    shutil.copytree(save, folder)
    common = ["-d", kidneys, "-s", folder, "-e", "test"]
    call("testing_network", *common, "--network-weights", *weights(folder, "one"), "--save-probabilities")
    call("ensemble", *common, "--classes", "0,1,2")
    return kidneys, folder


def scan_of(data, name: str):
    return data / "test" / name / "imaging.nii.gz"


def test_scans_are_predicted_as_by_the_stages_bit_for_bit(call, tested, tmp_path):
    data, save = tested
    out = tmp_path / "out"
    call("predict", "-i", data / "test", "-o", out, "-w", *weights(save, "one"), "--save-probabilities")
    files = [f"{name}_prediction.nii.gz" for name in TEST_CASES]
    files += [f"{name}_probability_{one}.nii.gz" for name in TEST_CASES for one in "012"]
    for name in files:
        assert (out / name).read_bytes() == (save / "one" / "test" / name).read_bytes(), name
    record = json.loads((out / "predictions.json").read_text())
    measured = {(row["case"], row["class"]): row["volume_ml"] for row in rows_of(save / "one" / "test" / "metrics.csv")}
    for row in rows_of(out / "volumes.csv"):
        assert (out / f"{row['scan']}_overlay.png").stat().st_size > 10_000
        for label in "12":
            assert float(row[f"{label}_ml"]) == pytest.approx(float(measured[row["scan"], label]), rel=1e-4)
        entry = record["scans"][row["scan"]]
        assert entry["made_with"]["weights"].keys() == {"one"}
        assert entry["input"] == str(scan_of(data, row["scan"]))


def test_several_networks_predict_as_their_ensemble(call, tested, tmp_path):
    data, save = tested
    scans = [scan_of(data, name) for name in TEST_CASES]
    both = [*weights(save, "one"), *weights(save, "two")]
    assert "no uncertainty" not in call(
        "predict", "-i", *scans, "-o", tmp_path / "out", "-w", *both, "--save-uncertainty"
    )
    alone = call("predict", "-i", *scans, "-o", tmp_path / "one", "-w", *weights(save, "one"), "--save-uncertainty")
    assert "note: no uncertainty is written" in alone
    for name in TEST_CASES:
        path = f"{name}_prediction.nii.gz"
        assert (tmp_path / "out" / path).read_bytes() == (save / "ensemble_c0-1-2" / "test" / path).read_bytes()
        deviation = sitk.ReadImage(str(tmp_path / "out" / f"{name}_uncertainty.nii.gz"))
        assert 0 < sitk.GetArrayViewFromImage(deviation).max() <= 0.5  # of two numbers from 0 to 1


def test_the_folder_of_an_ensemble_stands_for_its_members_and_what_was_found_for_it(call, kidneys, save, tmp_path):
    folder = tmp_path / "SAVE"
    shutil.copytree(save, folder)
    common = ["-d", kidneys, "-s", folder, "--classes", "0,1,2", "-r", "both", "--keep-largest", "auto"]
    call("ensemble", *common, "-e", "val")
    choice = folder / "both" / "keep_largest.json"
    chosen = json.loads(choice.read_text())
    choice.write_text(json.dumps({**chosen, "kept": {**chosen["kept"], "1": 1}}))
    for split in ("val", "test"):
        call("ensemble", *common, "-e", split, "--overwrite")
    call("predict", "-i", kidneys / "test", "-o", tmp_path / "out", "-w", folder / "both")
    for name in TEST_CASES:
        path = f"{name}_prediction.nii.gz"
        assert (tmp_path / "out" / path).read_bytes() == (folder / "both" / "test" / path).read_bytes()
    record = json.loads((tmp_path / "out" / "predictions.json").read_text())["scans"][TEST_CASES[0]]["made_with"]
    assert record["weights"].keys() == {"one", "two"}
    assert record["options"]["keep_largest"]["1"] == 1
    expected = {(row["case"], row["class"]): row for row in rows_of(folder / "both" / "test" / "trust.csv")}
    found = rows_of(tmp_path / "out" / "trust.csv")
    assert len(found) == 2 * len(TEST_CASES)
    for row in found:
        own = float(expected[row["case"], row["class"]]["predicted_dice"])
        assert float(row["predicted_dice"]) == pytest.approx(own, abs=1e-5)
    words = ["-i", kidneys / "test", "-o", tmp_path / "all", "-w", folder / "both", "--keep-largest", 0]
    assert "the predicted Dice was calibrated with other --views" in call("predict", *words)
    assert not (tmp_path / "all" / "trust.csv").exists()
    next((folder / "two").glob("FINAL_*.pth")).unlink()
    with pytest.raises(InputError, match="its member two is not in"):
        call("predict", "-i", kidneys / "test", "-o", tmp_path / "later", "-w", folder / "both")
    with pytest.raises(InputError, match=r"holds no run of ensemble\.py"):
        call("predict", "-i", kidneys / "test", "-o", tmp_path / "later", "-w", folder / "one")


def test_members_count_by_the_weights_of_their_ensemble(call, kidneys, save, tmp_path):
    folder = tmp_path / "SAVE"
    shutil.copytree(save, folder)
    common = ["-d", kidneys, "-s", folder, "--classes", "0,1,2", "-r", "both", "--member-weights", "validation"]
    call("ensemble", *common, "-e", "test")
    shares = json.loads((folder / "both" / "test" / "predictions.json").read_text())["member_weights"]
    assert shares["one"] != shares["two"]
    outputs = {"both": folder / "both", "one": folder / "one" / "FINAL*.pth", "two": folder / "two" / "FINAL*.pth"}
    maps = {}
    for name, networks in outputs.items():
        out = tmp_path / name
        call("predict", "-i", scan_of(kidneys, TEST_CASES[0]), "-o", out, "-w", networks, "--save-probabilities")
        (path,) = out.glob("*_probability_1.nii.gz")
        maps[name] = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(float)
    weighted = sum(shares[name] * maps[name] for name in ("one", "two")) / sum(shares.values())
    plain = (maps["one"] + maps["two"]) / 2
    np.testing.assert_allclose(maps["both"], weighted, atol=1e-5)
    assert np.abs(plain - weighted).max() > 1e-4


def test_two_stages_predict_as_clipping_to_a_run_does(call, tested, tmp_path):
    data, save = tested
    common = ["-d", data, "-s", save, "-e", "test", "--network-weights", *weights(save, "two")]
    call("testing_network", *common, "-r", "clipped", "--clip-to", "one")
    scans = [scan_of(data, name) for name in TEST_CASES]
    call(
        "predict", "-i", *scans, "-o", tmp_path / "out", "-w", *weights(save, "two"), "--within", *weights(save, "one")
    )
    for name in TEST_CASES:
        path = f"{name}_prediction.nii.gz"
        assert (tmp_path / "out" / path).read_bytes() == (save / "clipped" / "test" / path).read_bytes()


def test_five_lines_of_python_predict_the_same(tested):
    data, save = tested
    predictor = Predictor(save / "one" / "FINAL*.pth", options=PredictorOptions(classes_as=(("1", "kidney"),)))
    scan = sitk.ReadImage(str(scan_of(data, "case_00004")))
    prediction = predictor.predict(scan)
    written = sitk.ReadImage(str(save / "one" / "test" / "case_00004_prediction.nii.gz"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(prediction.image), sitk.GetArrayFromImage(written))
    assert prediction.image.GetDirection() == scan.GetDirection()
    assert prediction.image.GetOrigin() == scan.GetOrigin()
    voxel_ml = np.prod(scan.GetSpacing()) / 1000
    assert prediction.volumes_ml["kidney"] == pytest.approx((prediction.labels == 1).sum() * voxel_ml)
    assert set(prediction.volumes_ml) == {"kidney", "2"}
    with pytest.raises(InputError, match="is no image of three dimensions"):
        predictor.predict(scan[:, :, 0])
    probability = sitk.GetArrayFromImage(prediction.probability("kidney"))
    stored = sitk.ReadImage(str(save / "one" / "test" / "case_00004_probability_1.nii.gz"))
    np.testing.assert_array_equal(probability, sitk.GetArrayFromImage(stored))


@pytest.fixture(scope="module")
def volume() -> sitk.Image:
    return make_scan()


def test_scans_of_one_name_do_not_replace_each_other(call, run, tested, volume, tmp_path):
    _, save = tested
    for number, patient in enumerate("ab"):
        (tmp_path / patient).mkdir()
        sitk.WriteImage(volume + number, str(tmp_path / patient / "scan.nii.gz"))
    command = ["-o", tmp_path / "out", "-w", *weights(save, "one")]
    call("predict", "-i", tmp_path / "a" / "scan.nii.gz", *command)
    ended = run("predict.py", "-i", tmp_path / "b" / "scan.nii.gz", *command, status=2)
    assert f"is called scan, as is {tmp_path / 'a' / 'scan.nii.gz'}" in ended.stderr
    assert len(rows_of(tmp_path / "out" / "volumes.csv")) == 1
    assert "1 predicted" in call("predict", "-i", tmp_path / "b" / "scan.nii.gz", *command, "--overwrite")


def test_scans_of_case_folders_are_called_after_them_however_they_are_named(
    call, tested, volume, tmp_path, monkeypatch
):
    """By a link, whose target lies elsewhere, by a path with dots, and as a channel."""
    _, save = tested
    (tmp_path / "store").mkdir()
    sitk.WriteImage(volume, str(tmp_path / "store" / "a1.nii.gz"))
    for patient in ("p1", "p2", "p3"):
        (tmp_path / patient).mkdir()
    (tmp_path / "p1" / "imaging.nii.gz").symlink_to(tmp_path / "store" / "a1.nii.gz")
    (tmp_path / "p2" / "imaging.nii.gz").symlink_to(tmp_path / "store" / "a1.nii.gz")
    (tmp_path / "p3" / "imaging_T1.nii.gz").symlink_to(tmp_path / "store" / "a1.nii.gz")
    monkeypatch.chdir(tmp_path / "p1")
    command = ["-o", tmp_path / "out", "-w", *weights(save, "one")]
    for named in ("imaging.nii.gz", "../p2/imaging.nii.gz", "T1=../p3/imaging_T1.nii.gz"):
        call("predict", "-i", named, *command)
    assert "1 done before" in call("predict", "-i", tmp_path / "p2" / "imaging.nii.gz", *command)
    assert [row["scan"] for row in rows_of(tmp_path / "out" / "volumes.csv")] == ["p1", "p2", "p3"]


def test_titles_networks_and_first_stages_decide_what_is_finished(call, tested, volume, tmp_path):
    """The components that a first stage keeps, and networks of one name, change a prediction."""
    save = shutil.copytree(tested[1], tmp_path / "SAVE")
    sitk.WriteImage(volume, str(tmp_path / "scan.nii.gz"))
    shutil.copytree(save / "one", tmp_path / "OTHER" / "one")
    (other,) = (tmp_path / "OTHER" / "one").glob("FINAL*.pth")
    changed = torch.load(other, weights_only=True)
    changed["description"]["iterations"] = 31
    torch.save(changed, other)
    command = ["predict", "-i", tmp_path / "scan.nii.gz", "-o", tmp_path / "out", "-w"]
    together, alone = [*command, *weights(save, "one"), other], [*command, other]
    for words in (together, alone, [*alone, "--classes-as", "1=kidney,2=tumour"]):
        assert "1 predicted" in call(*words)
        assert "1 done before" in call(*words)
    staged = [*alone, "--within", *weights(save, "two")]
    assert "1 predicted" in call(*staged)
    (first,) = (save / "two").glob("FINAL*.pth")
    record = json.loads((save / "ensemble_c0-1-2" / "test" / "predictions.json").read_text())
    choice = {"kept": {"1": 1, "2": 1}, "weights": {"two": record["weights"]["two"]}, "clip_to": None}
    path = first.with_suffix(".keep_largest.json")
    path.write_text(json.dumps({**choice, "cases": {}, "dice": {}}))
    assert "1 predicted" in call(*staged)
    path.write_text(json.dumps({**choice, "cases": {}, "dice": {}, "clip_to": "organ", "clip": False, "views": 1}))
    told = call(*staged)
    assert "note: --within: components were chosen for predictions clipped to organ and with --views 1" in told


def test_a_failed_prediction_leaves_nothing_of_the_earlier_one(run, call, tested, volume, tmp_path):
    _, save = tested
    sitk.WriteImage(volume, str(tmp_path / "scan.nii.gz"))
    command = ["-i", tmp_path / "scan.nii.gz", "-o", tmp_path / "out", "-w", *weights(save, "one")]
    call("predict", *command)
    (tmp_path / "scan.nii.gz").write_bytes((tmp_path / "scan.nii.gz").read_bytes()[:-50])
    run("predict.py", *command, status=2)
    assert not list((tmp_path / "out").glob("*.nii.gz"))


def test_finished_scans_are_skipped_until_scan_or_options_change(call, tested, volume, tmp_path, monkeypatch):
    monkeypatch.setattr("stages.predict_scans.find_spec", lambda name: None)  # no overlays, which take time
    _, save = tested
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    for name in ("a", "b"):
        sitk.WriteImage(volume, str(scans / f"{name}.nii.gz"))
    command = ["predict", "-i", scans, "-o", out, "-w", *weights(save, "one")]
    assert "2 predicted, 0 done before" in call(*command)
    assert "0 predicted, 2 done before" in call(*command)
    (out / "a_prediction.nii.gz").unlink()
    sitk.WriteImage(volume + 3, str(scans / "b.nii.gz"))
    sitk.WriteImage(volume, str(scans / "c.nii.gz"))
    assert "3 predicted, 0 done before" in call(*command)
    assert "3 predicted" in call(*command, "--keep-largest", 1, "--save-probabilities")
    (out / "a_probability_2.nii.gz").unlink()
    assert "1 predicted, 2 done before" in call(*command, "--keep-largest", 1, "--save-probabilities")
    assert (out / "a_probability_2.nii.gz").is_file()
    assert "3 predicted" in call(*command, "--keep-largest", 1)
    assert not (out / "a_probability_2.nii.gz").exists()
    assert "0 predicted, 1 done before" in call("predict", "-i", scans / "c.nii.gz", *command[3:], "--keep-largest", 1)
    assert [row["scan"] for row in rows_of(out / "volumes.csv")] == ["a", "b", "c"]
    assert "3 predicted" in call(*command, "--keep-largest", 1, "--overwrite")


def test_a_run_that_was_killed_before_its_record_goes_on(call, tested, volume, tmp_path, monkeypatch):
    monkeypatch.setattr("stages.predict_scans.find_spec", lambda name: None)  # no overlays, which take time
    _, save = tested
    scan, out = tmp_path / "scan.nii", tmp_path / "out"
    sitk.WriteImage(volume, str(scan))
    words = ("predict", "-i", scan, "-o", out, "-w", *weights(save, "one"))

    def kill(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ScanRecord, "add", kill)
        with pytest.raises(KeyboardInterrupt):
            call(*words, "--save-probabilities")
    assert (out / "scan_probability_1.nii.gz").is_file()
    (out / "scan_entropy.nii.gz").write_text("of the user: predict.py writes none")
    assert "1 predicted, 0 done before" in call(*words)
    assert sorted(path.name for path in out.iterdir()) == [
        *("predictions.json", "scan_entropy.nii.gz", "scan_prediction.nii.gz", "volumes.csv")
    ]


def test_a_scan_that_changes_after_it_was_read_is_predicted_again(call, tested, volume, tmp_path, monkeypatch):
    monkeypatch.setattr("stages.predict_scans.find_spec", lambda name: None)  # no overlays, which take time
    _, save = tested
    scan, read = tmp_path / "scan.nii", ScanSource.read
    sitk.WriteImage(volume, str(scan))

    def read_and_replace(source: ScanSource):
        found = read(source)
        sitk.WriteImage(volume + 1, str(scan))
        return found

    words = ("predict", "-i", scan, "-o", tmp_path / "out", "-w", *weights(save, "one"))
    with monkeypatch.context() as patched:
        patched.setattr(ScanSource, "read", read_and_replace)
        assert "1 predicted, 0 done before" in call(*words)
    assert "1 predicted, 0 done before" in call(*words)
    assert "0 predicted, 1 done before" in call(*words)


def test_one_scan_can_be_written_to_a_file_of_its_own(call, tested, volume, tmp_path):
    _, save = tested
    sitk.WriteImage(volume, str(tmp_path / "scan.nii.gz"))
    call("predict", "-i", tmp_path / "scan.nii.gz", "-o", tmp_path / "labels.nii.gz", "-w", *weights(save, "one"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.nii.gz", "scan.nii.gz"]
    before = (tmp_path / "scan.nii.gz").read_bytes()
    for name, more, problem in (
        ("scan.nii.gz", ["--overwrite"], "is the scan itself"),
        ("labels.nii.gz", [], "exists already"),
        ("labels.nii", [], "is the name of an image"),
    ):
        with pytest.raises(InputError, match=problem):
            command = ["-i", tmp_path / "scan.nii.gz", "-o", tmp_path / name, "-w", *weights(save, "one")]
            call("predict", *command, *more)
    assert (tmp_path / "scan.nii.gz").read_bytes() == before
    with pytest.raises(InputError, match="there are 2 scans"):
        call("predict", "-i", tmp_path, "-o", tmp_path / "labels.nii.gz", "-w", *weights(save, "one"))


def test_scans_unlike_those_of_the_training_are_told(run, tested, volume, tmp_path):
    _, save = tested
    large = sitk.Image(volume)
    large.SetSpacing((12.5, 1.25, 3.0))
    sitk.WriteImage(large, str(tmp_path / "large.nii.gz"))
    sitk.WriteImage(sitk.Cast(volume, sitk.sitkFloat32) * 100, str(tmp_path / "bright.nii.gz"))
    ended = run("predict.py", "-i", tmp_path, "-o", tmp_path / "out", "-w", *weights(save, "one"))
    assert "warning: large: voxels are 12.5 mm along z, in training scans" in ended.stderr
    assert "warning: large: the field of view is" in ended.stderr
    assert "warning: bright: intensities are" in ended.stderr
    record = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert "voxels are 12.5 mm" in record["scans"]["large"]["warnings"][0]


def test_an_ensemble_whose_splits_have_other_members_is_refused(call, kidneys, save, tmp_path):
    folder = shutil.copytree(save, tmp_path / "SAVE")
    command = ["ensemble", "-d", kidneys, "-s", folder, "--classes", "0,1,2", "-r", "both"]
    call(*command, "-e", "val")
    (tmp_path / "members.txt").write_text(f"{folder / 'one' / 'FINAL_one_30.pth'}\n")
    call(*command, "-e", "test", "--trained-networks", tmp_path / "members.txt")
    with pytest.raises(InputError, match="has other members, or other weights of them, in val than in test"):
        call("predict", "-i", kidneys / "test", "-o", tmp_path / "out", "-w", folder / "both")


def test_names_of_classes_are_stored_with_weights_and_used(call, kidneys, tmp_path):
    save = tmp_path / "SAVE"
    common = ["-d", kidneys, "-s", save]
    titles = ["--class-names", "1=kidney,2=tumour"]
    call("training_network", *SMALL, *common, "--classes", "0,1,2", "-i", 10, "-r", "named", *titles)
    call("testing_network", *common, "-e", "test", "--network-weights", *weights(save, "named"), "--save-probabilities")
    folder = save / "named" / "test"
    assert {row["class"] for row in rows_of(folder / "metrics.csv")} == {"kidney", "tumour"}
    assert (folder / "case_00004_probability_tumour.nii.gz").is_file()
    assert "dice_kidney" in rows_of(save / "named" / "log.csv")[0]
    scan = scan_of(kidneys, "case_00004")
    call("predict", "-i", scan, "-o", tmp_path / "out", "-w", *weights(save, "named"), "--save-probabilities")
    assert {"scan", "kidney_ml", "tumour_ml"} == set(rows_of(tmp_path / "out" / "volumes.csv")[0])
    assert (tmp_path / "out" / "case_00004_probability_background.nii.gz").is_file()
    with pytest.raises(InputError, match="the network calls its classes background, kidney, tumour"):
        call("predict", "-i", scan, "-o", tmp_path / "out", "-w", *weights(save, "named"), "--classes-as", "1=organ")


def test_inputs_that_cannot_be_predicted_are_refused(call, tested, volume, tmp_path):
    _, save = tested
    network = ["-w", *weights(save, "one")]
    (tmp_path / "empty").mkdir()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        sitk.WriteImage(volume, str(tmp_path / name / "scan.nii.gz"))
    twice = ["-i", tmp_path / "a", tmp_path / "b" / "scan.nii.gz"]
    for words, problem in (
        (["-i", tmp_path / "none", "-o", tmp_path / "out"], "no such file or folder"),
        (["-i", tmp_path / "empty", "-o", tmp_path / "out"], "holds no scan"),
        ([*twice, "-o", tmp_path / "out"], "is called scan, as is"),
        (["-i", tmp_path / "a", "-o", tmp_path / "b"], "holds scan.nii.gz and no predictions.json"),
        (["-i", tmp_path / "a", "-o", save / "one" / "test"], "holds predictions of a split"),
        (["-i", tmp_path / "a", "-o", tmp_path / "out", "--views", 2], "--views"),
    ):
        with pytest.raises(InputError, match=problem):
            call("predict", *words, *network)
    with pytest.raises(InputError, match="no file matches"):
        call("predict", "-i", tmp_path / "a", "-o", tmp_path / "out", "-w", tmp_path / "*.pth")
    assert not (tmp_path / "out").exists()


def test_a_scan_is_predicted_again_once_its_dice_can_be_predicted(call, kidneys, save, tmp_path):
    folder = tmp_path / "SAVE"
    shutil.copytree(save / "one", folder / "one")
    command = ["predict", "-i", kidneys / "test" / "case_00004" / "imaging.nii.gz", "-o", tmp_path / "out"]
    command += ["-w", *weights(folder, "one")]
    assert "predicted Dice 0." not in call(*command)
    assert "0 predicted, 1 done before" in call(*command)
    call("testing_network", "-d", kidneys, "-s", folder, "-e", "val", "--network-weights", *weights(folder, "one"))
    printed = call(*command)
    assert "(predicted Dice 0." in printed and "1 predicted, 0 done before" in printed
    assert "0 predicted, 1 done before" in call(*command)


def test_the_dice_is_predicted_as_in_stage_3_with_weights_and_as_exported(call, kidneys, save, tmp_path):
    """Calibrated on the validation case, which gives a line, and too few patients for a bound."""
    folder = tmp_path / "SAVE"
    shutil.copytree(save / "one", folder / "one")
    for split in ("val", "test"):
        call("testing_network", "-d", kidneys, "-s", folder, "-e", split, "--network-weights", *weights(folder, "one"))
    expected = {
        (row["case"], row["class"]): row["predicted_dice"]
        for row in rows_of(folder / "one" / "test" / "trust.csv")
        if row["class"] != "mean"
    }
    call("export_network", "-w", *weights(folder, "one"), "-o", tmp_path / "one.onnx")
    assert "case_" not in (tmp_path / "one.onnx").read_bytes().decode("latin-1")
    for path in (*weights(folder, "one"), tmp_path / "one.onnx"):
        out = tmp_path / path.suffix.strip(".")
        printed = call("predict", "-i", kidneys / "test", "-o", out, "-w", path)
        assert "(predicted Dice 0." in printed
        found = {(row["case"], row["class"]): row for row in rows_of(out / "trust.csv")}
        assert found.keys() == expected.keys()
        for key, row in found.items():
            assert float(row["predicted_dice"]) == pytest.approx(float(expected[key]), abs=1e-3)
            assert row["predicted_dice_low"] == ""
