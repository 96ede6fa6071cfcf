"""`--keep-largest auto` as a user runs it."""

import json
import shutil
from statistics import fmean

import pytest

from base.errors import InputError
from tests.material import rows_of

CLASSES = ("1", "2")


@pytest.fixture
def saved(save, tmp_path):
    """Return a copy of the SAVE folder with its networks."""
    shutil.copytree(save, tmp_path / "SAVE")
    return tmp_path / "SAVE"


def dices(folder) -> dict[str, list[float]]:
    """Return the Dice of all cases in the folder of a run, by class."""
    rows = rows_of(folder / "metrics.csv")
    return {name: [float(row["dice"]) for row in rows if row["class"] == name and row["dice"]] for name in CLASSES}


def chosen_by_hand(saved, runs: dict[int, str]) -> dict[str, int]:
    """Return the number of components with the highest mean Dice of each class, of `runs` with every number."""
    means = {
        count: {name: fmean(some) for name, some in dices(saved / run / "val").items()} for count, run in runs.items()
    }
    return {name: max(runs, key=lambda count: means[count][name]) for name in CLASSES}


def test_the_best_on_validation_cases_is_stored_with_the_weights_and_used_by_later_stages(call, kidneys, saved):
    command = ["testing_network.py", "-d", kidneys, "-s", saved, "--network-weights", saved / "one" / "FINAL*.pth"]
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
