"""Reports, predicted Dice and the order of annotation, as a user gets them."""

import json
import shutil

import pytest

from tests.material import rows_of

FIT = ["--classes", "0,1,2", "--receptive-field-size", 19, "--sample-size", 8]


@pytest.fixture
def saved(save, tmp_path):
    """Return a copy of the SAVE folder with its networks."""
    shutil.copytree(save, tmp_path / "SAVE")
    return tmp_path / "SAVE"


def network(call, data, saved, split, *more):
    weights = saved / "one" / "FINAL*.pth"
    return call("testing_network", "-d", data, "-s", saved, "-e", split, "--network-weights", weights, *more)


def test_a_network_is_calibrated_on_validation_cases_and_predicts_its_dice_elsewhere(call, kidneys, saved):
    """Of the test cases, one has no reference."""
    folder = saved / "one" / "test"
    assert "no predicted Dice" in network(call, kidneys, saved, "test")
    assert {row["predicted_dice"] for row in rows_of(folder / "trust.csv")} == {""}
    network(call, kidneys, saved, "val")
    calibration = json.loads((saved / "one" / "FINAL_one_30.trust.json").read_text())
    assert calibration["estimator"] == "expected_dice"
    assert set(calibration["cases"]) == {"case_00003"}
    (dice,) = [float(row["dice"]) for row in rows_of(saved / "one" / "val" / "metrics.csv") if row["class"] == "1"]
    (row,) = [row for row in rows_of(saved / "one" / "val" / "trust.csv") if row["class"] == "1"]
    assert row["predicted_dice"] == ""  # the only patient: no other to calibrate on
    assert calibration["lines"]["1"]["intercept"] == pytest.approx(dice - float(row["expected_dice"]), abs=1e-5)

    output = network(call, kidneys, saved, "test")  # nothing is left to predict: the tables are brought up to date
    assert "calibrated on 1 validation patients (no lower bound: it takes 9)" in output
    rows = rows_of(folder / "trust.csv")
    assert [(row["case"], row["class"]) for row in rows] == [
        (case, region) for case in ("case_00004", "case_00005") for region in ("1", "2", "mean")
    ]
    for row in rows:
        line = calibration["lines"][row["class"]]
        expected = min(1, max(0, line["intercept"] + line["slope"] * float(row["expected_dice"])))
        assert float(row["predicted_dice"]) == pytest.approx(expected, abs=1e-5)
        assert row["predicted_dice_low"] == row["agreement"] == ""
    quality = rows_of(folder / "quality.csv")
    assert {row["class"] for row in quality} == {"1", "2", "mean"}
    assert {row["cases"] for row in quality} == {"1"}
    (next_one,) = rows_of(folder / "annotate_next.csv")
    assert (next_one["place"], next_one["case"], next_one["round"]) == ("1", "case_00005", "1")

    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "case_00005" in page and "Annotate next" in page and "data:image/png;base64," in page
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["cases"], summary["cases_with_reference"]) == (2, 1)
    assert summary["made"]["versions"]["torch"]


def test_training_cases_are_never_calibrated_on(call, kidneys, saved, tmp_path):
    data = tmp_path / "DATA"
    shutil.copytree(kidneys / "train", data / "val")
    assert "no predicted Dice" in network(call, data, saved, "val", "-r", "seen")
    assert not (saved / "one" / "FINAL_one_30.trust.json").exists()


def test_an_ensemble_is_calibrated_by_the_agreement_of_its_members(call, kidneys, saved):
    command = ["ensemble", "-d", kidneys, "-s", saved, *FIT, "-r", "both"]
    call(*command, "-e", "val")
    calibration = json.loads((saved / "both" / "trust.json").read_text())
    assert (calibration["estimator"], set(calibration["weights"])) == ("agreement", {"one", "two"})
    rows = rows_of(saved / "both" / "val" / "members.csv")
    disagreement = float(next(r for r in rows if (r["member"], r["class"]) == ("one", "1"))["disagreement two"])
    (row,) = [row for row in rows_of(saved / "both" / "val" / "trust.csv") if row["class"] == "1"]
    assert float(row["agreement"]) == pytest.approx(1 - disagreement, abs=1e-5)
    output = call(*command, "-e", "test")
    assert "predicted Dice in trust.csv" in output
    assert f"report: {saved / 'both' / 'test' / 'report.html'}" in output
    page = (saved / "both" / "test" / "report.html").read_text(encoding="utf-8")
    assert "Disagreement between members" in page


def test_a_training_prints_its_figures_and_ends_with_a_report(save):
    summary = json.loads((save / "one" / "summary.json").read_text())
    rows = rows_of(save / "one" / "log.csv")
    assert [row["iteration"] for row in summary["log"]] == [int(row["iteration"]) for row in rows]
    assert summary["last"]["dice_1"] == pytest.approx(float(rows[-1]["dice_1"]))
    assert "<svg" in (save / "one" / "report.html").read_text(encoding="utf-8")
