"""Comparable runs are compared; others are refused in one line with a remedy."""

import json

import pytest

from base.csv_files import write_table
from base.errors import InputError
from base.run_record import RunRecord
from tests.material import rows_of
from utils.comparison.report import ComparisonReport
from utils.evaluation.run_results import COLUMNS

CASES = "abcdefgh"


def write_run(save, name, dices, members=1, is_student=False, done=CASES, **record):
    """Write the results of a run on val: equal Dice of classes 1 and 2 in the cases `done`, and growing memory.

    `record` replaces entries of predictions.json.
    """
    folder = save / name / "val"
    folder.mkdir(parents=True)
    rows = [
        {"case": case, "class": region, "dice": dice, "seconds": members * 2, "peak_memory_mb": 100 + number}
        for number, (case, dice) in enumerate(zip(done, dices))
        for region in "12"
    ]
    write_table(folder / "metrics.csv", COLUMNS, rows)
    whole = {
        "weights": {},
        "classes": {"names": ["0", "1", "2"], "labels": [[0], [1], [2]]},
        "regions": ["1", "2"],
        "tolerance_mm": 1.0,
        "networks": {f"{name} {n}": {"parameters": 1000, "is_student": is_student} for n in range(members)},
        "cases": {case: {"image": case} for case in done},
    }
    (folder / "predictions.json").write_text(json.dumps(whole | record))
    return folder


def report_of(save, name, others):
    return ComparisonReport(save, name, "val", others, RunRecord.read(save / name / "val"), 0.01)


DICES = [0.80, 0.82, 0.84, 0.86, 0.88, 0.90, 0.92, 0.94]


def test_gain_kept_by_a_student_and_its_cost(tmp_path, capsys):
    """The runs may be in any order, and another student is not taken for the single network."""
    folder = write_run(tmp_path, "student", [dice + 0.015 for dice in DICES], is_student=True)
    write_run(tmp_path, "sibling", [dice + 0.01 for dice in DICES], is_student=True)
    write_run(tmp_path, "ensemble", [dice + 0.02 for dice in DICES], members=5)
    write_run(tmp_path, "single", DICES)
    report_of(tmp_path, "student", ["sibling", "ensemble", "single"]).report()
    rows = {row["role"]: row for row in rows_of(folder / "kept.csv")}
    assert [row["run"] for row in rows.values()] == ["single", "ensemble", "student"]
    assert [row["parameters"] for row in rows.values()] == ["1000", "5000", "1000"]
    assert [row["seconds"] for row in rows.values()] == ["2", "10", "2"]
    assert [float(row["mean_dice"]) for row in rows.values()] == pytest.approx([0.87, 0.89, 0.885])
    assert {row["peak_memory_mb"] for row in rows.values()} == {"107"}
    kept = [float(rows["student"][key]) for key in ("kept", "kept_low", "kept_high")]
    assert kept == pytest.approx([0.75] * 3)
    assert "keeps 75% of the ensemble's gain (+0.0200 mean Dice" in capsys.readouterr().out

    compared = rows_of(folder / "comparison.csv")
    assert [(row["against"], row["class"]) for row in compared] == [
        (name, region) for name in ("sibling", "ensemble", "single") for region in ("1", "2", "mean")
    ]
    assert (folder / "comparison.png").stat().st_size > 10_000


def test_the_unit_of_a_comparison_is_the_patient(tmp_path, capsys):
    """Two cases of a patient, as recorded in predictions.json, count as one in the tests."""
    patients = dict(zip(CASES, "pqrspqrs"))
    folder = write_run(tmp_path, "student", [dice + 0.01 for dice in DICES], is_student=True, patients=patients)
    write_run(tmp_path, "ensemble", [dice + 0.02 for dice in DICES], members=2, patients=patients)
    write_run(tmp_path, "single", DICES)  # without patients, as in earlier versions
    report_of(tmp_path, "student", ["single", "ensemble"]).report()
    for row in rows_of(folder / "comparison.csv") + rows_of(folder / "kept.csv"):
        assert (row["cases"], row["patients"]) == ("8", "4")
    assert float(rows_of(folder / "comparison.csv")[0]["p_wilcoxon"]) == 2 / 2**4
    assert "patients" in capsys.readouterr().out


def test_gain_kept_is_empty_without_a_gain_and_omitted_without_a_single_network(tmp_path, capsys):
    folder = write_run(tmp_path, "student", DICES, is_student=True)
    write_run(tmp_path, "ensemble", DICES, members=2)
    write_run(tmp_path, "single", DICES)
    report_of(tmp_path, "student", ["single", "ensemble"]).report()
    assert "the ensemble gains nothing (+0.0000 mean Dice" in capsys.readouterr().out
    assert rows_of(folder / "kept.csv")[2]["kept"] == ""
    report_of(tmp_path, "student", ["ensemble"]).report()
    assert not (folder / "kept.csv").exists()


CANNOT_BE_COMPARED = {
    "not finished": ({"dices": DICES[:7]}, "h is missing: the run is not finished; run .* -r other -e val"),
    "a case more": ({"dices": [*DICES, 0.5], "done": CASES + "i"}, "i is a case of other, not of own; run own again"),
    "a case less": ({"done": CASES[:7]}, "h is a case of own, not of other; run other again"),
    "content": ({"cases": {case: {"image": "new"} for case in CASES}}, "a was another scan.*; run other again"),
    "classes": ({"classes": {"names": ["0", "3"], "labels": [[0], [3]]}}, "has classes 0,3, own 0,1,2"),
    "surface Dice": ({"surface_dice": "area"}, "has surface Dice by area, own .* border voxels, .*; run own again"),
    "tolerance": ({"tolerance_mm": 2.5}, "has --tolerance-mm 2.5, own 1; measure both alike"),
}


@pytest.mark.parametrize("other, problem", CANNOT_BE_COMPARED.values(), ids=CANNOT_BE_COMPARED)
def test_incomparable_runs_are_refused(tmp_path, other, problem):
    write_run(tmp_path, "own", [])  # not finished
    write_run(tmp_path, "other", **{"dices": DICES, **other})
    with pytest.raises(InputError, match=problem):
        report_of(tmp_path, "own", ["other"])


def test_a_run_of_an_earlier_surface_dice_is_not_compared_with_a_new_one(tmp_path):
    write_run(tmp_path, "own", DICES, surface_dice="area")
    write_run(tmp_path, "other", DICES)
    problem = "other/val: has surface Dice by border voxels, .* own .* by area; run other again with --overwrite"
    with pytest.raises(InputError, match=problem):
        report_of(tmp_path, "own", ["other"])


def test_incomplete_records_are_refused(tmp_path):
    write_run(tmp_path, "own", DICES)
    path = write_run(tmp_path, "other", DICES) / "predictions.json"
    record = json.loads(path.read_text())
    del record["networks"]
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"does not tell networks; run .* again: what is predicted stays"):
        report_of(tmp_path, "own", ["other"])
    path.write_text("{")
    with pytest.raises(InputError, match=r"no predictions\.json that can be read; run .* -r other -e val"):
        report_of(tmp_path, "own", ["other"])
    with pytest.raises(InputError, match="own is the run itself"):
        report_of(tmp_path, "own", ["own"])


def test_without_references_there_is_nothing_to_compare(tmp_path):
    for name in ("own", "other"):
        write_run(tmp_path, name, [None] * 8)
    with pytest.raises(InputError, match="no case has a reference"):
        report_of(tmp_path, "own", ["other"]).report()
