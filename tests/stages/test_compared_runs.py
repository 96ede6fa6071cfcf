"""Comparison of a student with its ensemble and a single network, from the command line."""

import shutil

import pytest
import torch

from base.csv_files import write_table
from base.errors import InputError
from tests.material import rows_of


@pytest.fixture(scope="module")
def predicted(call, kidneys, save, tmp_path_factory):
    """Return a SAVE folder with an ensemble's and a network's predictions of train, and options for a student's."""
    folder = tmp_path_factory.mktemp("comparison") / "SAVE"
    shutil.copytree(save, folder)
    weights = torch.load(folder / "two" / "FINAL_two_30.pth", weights_only=True)
    weights["description"] |= {"experiment": "student", "soft_labels": {"temperature": 1.0}}
    torch.save(weights, folder / "student.pth")
    shared = ["-d", kidneys, "-s", folder, "-e", "train"]
    call("ensemble", *shared, "--classes", "0,1,2", "-r", "ensemble", "--report-regions", "1+2")
    call("testing_network", *shared, "--network-weights", folder / "one" / "FINAL_one_30.pth")
    return folder, [*shared, "--network-weights", folder / "student.pth"]


def test_a_student_is_compared_after_prediction_and_again_without_predicting(call, predicted):
    save, options = predicted
    call("testing_network", *options, "--compare", "one", "ensemble")
    folder = save / "student" / "train"
    predictions = {path: path.stat().st_mtime_ns for path in folder.glob("*_prediction.nii.gz")}
    assert len(predictions) == 3
    rows = [row for row in rows_of(folder / "comparison.csv") if row["measure"] == "dice"]
    regions = ["1", "2", "mean"]  # only the ensemble measured the union
    assert [(row["against"], row["class"]) for row in rows] == [(n, r) for n in ("one", "ensemble") for r in regions]
    runs = {name: rows_of(save / name / "train" / "metrics.csv") for name in ("student", "one", "ensemble")}
    for row in rows:
        assert (row["cases"], row["margin"]) == ("3", "0.005")
        own, other = (
            [
                float(one["dice"])
                for one in runs[name]
                if one["class"] in ("1", "2") and row["class"] in (one["class"], "mean")
            ]
            for name in ("student", row["against"])
        )
        assert float(row["difference"]) == pytest.approx(sum(own) / len(own) - sum(other) / len(other), abs=1e-6)
    kept = rows_of(folder / "kept.csv")
    assert [row["parameters"] for row in kept] == ["42211", "84422", "42211"]
    assert all(float(row["peak_memory_mb"]) > 50 for row in kept)

    (folder / "comparison.csv").unlink()
    output = call("testing_network", *options, "--compare", "ensemble", "--margin", 0.9)
    assert {row["margin"] for row in rows_of(folder / "comparison.csv")} == {"0.9", ""}
    assert "student against ensemble" in output
    assert {path: path.stat().st_mtime_ns for path in predictions} == predictions


@pytest.mark.parametrize(
    "more, problem",
    [
        (["--margin", 0.01], "--margin: means nothing without --compare"),
        (["--compare", "one", "one"], "--compare: one is named twice"),
        (
            ["--compare", "three"],
            "there is no .*three/train; run testing_network.py or ensemble.py with -r three -e train",
        ),
    ],
    ids=["margin", "twice", "missing"],
)
def test_invalid_comparisons_are_refused_before_prediction(call, predicted, more, problem):
    save, options = predicted
    with pytest.raises(InputError, match=problem):
        call("testing_network", *options, "-r", "new", *more)
    assert not (save / "new").exists()


@pytest.mark.parametrize("more", [["--tolerance-mm", 2, "--compare", "one"], ["--compare", "student"]])
def test_a_refused_comparison_leaves_existing_results_unchanged(call, predicted, tmp_path, more):
    save, options = predicted
    save = shutil.copytree(save, tmp_path / "SAVE")
    options = [save if option == predicted[0] else option for option in options]
    call("testing_network", *options)
    folder = save / "student" / "train"
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError):
        call("testing_network", *options, "--overwrite", *more)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_comparison_follows_the_runs_that_it_names(call, predicted, tmp_path):
    save, options = predicted
    save = shutil.copytree(save, tmp_path / "SAVE")
    options = [save if option == predicted[0] else option for option in options]
    folder = save / "student" / "train"
    call("testing_network", *options, "--compare", "one", "--margin", 0.02)
    metrics = save / "one" / "train" / "metrics.csv"
    rows = rows_of(metrics)
    for row in rows:
        row["dice"] = "0.125"
    write_table(metrics, list(rows[0]), rows)
    call("testing_network", *options)
    compared = [row for row in rows_of(folder / "comparison.csv") if row["measure"] == "dice"]
    assert {(row["against"], row["against_mean"], row["margin"]) for row in compared} == {("one", "0.125", "0.02")}
    assert "0.125" in (folder / "report.html").read_text(encoding="utf-8")
    with pytest.raises(InputError):  # refused: nothing changes
        call("testing_network", *options, "--tolerance-mm", 2)
    assert (folder / "comparison.csv").exists()
    shutil.rmtree(save / "one")
    assert "note: the comparison of an earlier call is removed: " in call("testing_network", *options)
    assert not (folder / "comparison.csv").exists() and not (folder / "comparison.png").exists()


def test_overwriting_removes_all_earlier_results(call, predicted, tmp_path):
    save, options = predicted
    save = shutil.copytree(save, tmp_path / "SAVE")
    options = [save if option == predicted[0] else option for option in options]
    folder = save / "student" / "train"
    call("testing_network", *options, "--overwrite", "--save-probabilities", "--compare", "one", "ensemble")
    assert len(list(folder.glob("*_probability_1.nii.gz"))) == 3
    assert all((folder / name).is_file() for name in ("comparison.csv", "comparison.png", "kept.csv"))
    call("testing_network", *options, "--overwrite")
    left = {path.name.partition("case_0000")[2][2:] or path.name for path in folder.iterdir()}
    tables = {"metrics.csv", "calibration.csv", "trust.csv", "quality.csv"}
    assert left == {"predictions.json", "prediction.nii.gz", "overlay.png", "report.html", "summary.json"} | tables
