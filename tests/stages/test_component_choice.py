"""`--keep-largest auto` as a user runs it."""

import json
import shutil
from statistics import fmean

import numpy as np
import pytest
import SimpleITK as sitk

from base.errors import InputError
from tests.material import make_kidney, rows_of, write_case

CLASSES = ("1", "2")


@pytest.fixture
def saved(save, tmp_path):
    """Return a copy of the SAVE folder with its networks."""
    shutil.copytree(save, tmp_path / "SAVE")
    return tmp_path / "SAVE"


@pytest.fixture
def crowded(call, kidneys, tmp_path):
    """Return a DATA folder whose validation scan holds half of a kidney more than its reference."""
    data = shutil.copytree(kidneys, tmp_path / "DATA")
    scan, reference = make_kidney(3)
    image, labels = sitk.GetArrayFromImage(scan), sitk.GetArrayFromImage(reference)
    half = slice(0, image.shape[1] // 2)
    images = [
        np.concatenate([one, fill * np.ones_like(one[:, :4]), more[:, half]], axis=1)
        for one, fill, more in ((image, image.min(), image), (labels, 0, 0 * labels))
    ]
    both = [sitk.GetImageFromArray(array.astype(old.dtype)) for array, old in zip(images, (image, labels))]
    for one in both:
        one.SetSpacing(scan.GetSpacing())
    write_case(data / "val" / "case_00003", *both)
    call("resample_data.py", "-d", data, "--voxel-size", 3, 3, 5)
    return data


def dices(folder) -> dict[str, list[float]]:
    """Return the Dice of all cases in the folder of a run, by class."""
    rows = rows_of(folder / "metrics.csv")
    return {name: [float(row["dice"]) for row in rows if row["class"] == name and row["dice"]] for name in CLASSES}


def kept(folder) -> int | dict[str, int]:
    return json.loads((folder / "predictions.json").read_text())["keep_largest"]


def chosen_by_hand(saved, runs: dict[int, str]) -> dict[str, int]:
    """Return the number of components with the highest mean Dice of each class, of `runs` with every number."""
    means = {
        count: {name: fmean(some) for name, some in dices(saved / run / "val").items()} for count, run in runs.items()
    }
    return {name: max(runs, key=lambda count: means[count][name]) for name in CLASSES}


def test_the_best_on_validation_cases_is_stored_with_the_weights_and_used_by_later_stages(call, crowded, saved):
    command = ["testing_network.py", "-d", crowded, "-s", saved, "--network-weights", saved / "one" / "FINAL*.pth"]
    with pytest.raises(InputError, match="nothing was chosen for these networks"):
        call(*command, "-e", "test", "--keep-largest", "auto")
    runs = {count: f"kept {count}" for count in (0, 1, 2)}
    for count, run in runs.items():
        call(*command, "-e", "val", "-r", run, "--keep-largest", count)
    expected = chosen_by_hand(saved, runs)
    assert set(expected.values()) != {0}  # else nothing would be tested
    call(*command, "-e", "val", "-r", "auto", "--keep-largest", "auto")
    (path,) = (saved / "one").glob("FINAL*.keep_largest.json")
    choice = json.loads(path.read_text())
    assert choice["kept"] == expected
    for name, count in expected.items():
        assert dices(saved / "auto" / "val")[name] == dices(saved / runs[count] / "val")[name]
        by_count = choice["dice"][name]
        for number, run in runs.items():
            assert by_count[str(number)] == pytest.approx(fmean(dices(saved / run / "val")[name]), abs=1e-6)

    call(*command, "-e", "test", "-r", "later")
    assert json.loads((saved / "later" / "test" / "predictions.json").read_text())["keep_largest"] == expected
    call(*command, "-e", "test", "-r", "told otherwise", "--keep-largest", 0)
    assert json.loads((saved / "told otherwise" / "test" / "predictions.json").read_text())["keep_largest"] == 0
    for name, count in expected.items():
        call(*command, "-e", "test", "-r", f"only {count}", "--keep-largest", count)
        assert dices(saved / "later" / "test")[name] == dices(saved / f"only {count}" / "test")[name]


def test_a_choice_for_other_weights_is_not_used(call, kidneys, saved):
    command = ["testing_network.py", "-d", kidneys, "-s", saved, "-e", "val", "--network-weights"]
    (one,), (two,) = ((saved / name).glob("FINAL*.pth") for name in ("one", "two"))
    call(*command, one, "--keep-largest", "auto", "-r", "first")
    one.with_suffix(".keep_largest.json").rename(two.with_suffix(".keep_largest.json"))
    call(*command, two, "-r", "second")
    assert json.loads((saved / "second" / "val" / "predictions.json").read_text())["keep_largest"] == 0


def test_a_choice_for_predictions_of_another_kind_is_not_used_and_that_is_said(call, kidneys, saved):
    command = ["testing_network.py", "-d", kidneys, "-s", saved, "-e", "val", "--network-weights"]
    (weights,) = (saved / "one").glob("FINAL*.pth")
    call(*command, weights, "-r", "first", "--keep-largest", 0)
    call(*command, weights, "-r", "plain", "--keep-largest", "auto")
    assert "were chosen for predictions without clipping" in call(*command, weights, "-r", "x", "--clip-to", "first")
    assert kept(saved / "x" / "val") == 0
    second = [*command, weights, "-r", "clipped", "--clip-to", "first", "--keep-largest", "auto"]
    with pytest.raises(InputError, match="holds predictions with clip_to None, not first"):
        call(*command, weights, "-r", "plain", "--clip-to", "first", "--keep-largest", "auto")  # replaces nothing
    assert "was for predictions without clipping and with --views 1; the choice of this run" in call(*second)
    assert "note" not in call(*second)
    assert "clipped to first" in call(*command, weights, "-r", "y")
    (path,) = (saved / "one").glob("FINAL*.keep_largest.json")
    choice = json.loads(path.read_text())
    path.write_text(json.dumps({**choice, "clip_to": None, "views": 4}))
    assert "--views 4" in call(*command, weights, "-r", "z")
    assert kept(saved / "z" / "val") == 0
    del choice["views"], choice["clip"]  # as an earlier version wrote it
    path.write_text(json.dumps({**choice, "clip_to": None}))
    assert "note" not in call(*command, weights, "-r", "earlier")
    assert kept(saved / "earlier" / "val") == choice["kept"]


def test_a_choice_made_inside_of_references_is_not_used_elsewhere(call, kidneys, saved):
    command = ["ensemble.py", "-d", kidneys, "-s", saved, "--classes", "0,1,2", "-r", "inside"]
    call(*command, "-e", "val", "--clip", "--keep-largest", "auto")
    assert "note" not in call(*command, "-e", "val", "--clip")
    assert "clipped to references" in call(*command, "-e", "test")
    assert kept(saved / "inside" / "test") == 0


def test_to_keep_all_of_each_class_is_to_keep_all(call, kidneys, saved):
    command = ["testing_network.py", "-d", kidneys, "-s", saved, "-e", "val", "--network-weights"]
    (weights,) = (saved / "one").glob("FINAL*.pth")
    call(*command, weights, "--keep-largest", "auto")
    path = weights.with_suffix(".keep_largest.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "kept": {"1": 0, "2": 0}}))
    call(*command, weights, "-r", "all", "--keep-largest", 0)
    call(*command, weights, "-r", "all")


def test_a_run_that_is_refused_leaves_the_earlier_choice(call, crowded, saved):
    command = ["testing_network.py", "-d", crowded, "-s", saved, "-e", "val", "--network-weights"]
    (weights,) = (saved / "one").glob("FINAL*.pth")
    call(*command, weights, "-r", "first", "--keep-largest", 0)
    with pytest.raises(InputError, match="keep_largest"):
        call(*command, weights, "-r", "first", "--keep-largest", "auto")
    assert not weights.with_suffix(".keep_largest.json").exists()


def test_a_damaged_choice_is_an_error(call, kidneys, saved):
    (weights,) = (saved / "one").glob("FINAL*.pth")
    weights.with_suffix(".keep_largest.json").write_text('{"kept": {"1": -1}}')
    with pytest.raises(InputError, match=r"keep_largest\.json.*is damaged"):
        call("testing_network.py", "-d", kidneys, "-s", saved, "-e", "val", "--network-weights", weights)


def test_an_ensemble_chooses_for_its_run(call, kidneys, saved):
    command = ["ensemble.py", "-d", kidneys, "-s", saved, "--classes", "0,1,2"]
    runs = {count: f"kept {count}" for count in (0, 1, 2)}
    for count, run in runs.items():
        call(*command, "-e", "val", "-r", run, "--keep-largest", count)
    expected = chosen_by_hand(saved, runs)
    call(*command, "-e", "val", "-r", "auto", "--keep-largest", "auto")
    assert json.loads((saved / "auto" / "keep_largest.json").read_text())["kept"] == expected
    for name, count in expected.items():
        assert dices(saved / "auto" / "val")[name] == dices(saved / runs[count] / "val")[name]
    call(*command, "-e", "test", "-r", "auto")
    assert json.loads((saved / "auto" / "test" / "predictions.json").read_text())["keep_largest"] == expected
