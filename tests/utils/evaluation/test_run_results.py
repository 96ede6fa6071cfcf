"""Results measured with different settings are not mixed."""

import json

import pytest

from base.csv_files import write_table
from base.errors import InputError
from base.label_classes import parse_classes
from base.regions import parse_regions, regions_of
from base.run_record import NetworkSummary, RunRecord
from utils.evaluation.run_results import COLUMNS, CaseResult, RunResults, read_metrics

CLASSES = parse_classes("0,1,2")


def begin(folder, regions="1+2", tolerance_mm=1.0, overwrite=False, networks=(), cases=()):
    measured = regions_of(CLASSES, parse_regions(regions))
    names = tuple(region.name for region in measured)
    record = RunRecord({}, None, None, None, names, tolerance_mm, dict(networks), dict(cases))
    return RunResults(folder, record, measured, overwrite)


def test_measurement_settings_are_recorded(tmp_path):
    begin(tmp_path, tolerance_mm=2.5)
    record = json.loads((tmp_path / "predictions.json").read_text())
    assert record["tolerance_mm"] == 2.5
    assert record["regions"] == ["1", "2", "1+2"]
    assert record["surface_dice"] == "area"


@pytest.mark.parametrize("other", [{"tolerance_mm": 2.0}, {"regions": "1"}], ids=["tolerance", "regions"])
def test_results_with_other_measurement_settings_are_not_mixed(tmp_path, other):
    begin(tmp_path)
    begin(tmp_path)
    with pytest.raises(InputError, match="choose another run name"):
        begin(tmp_path, **other)
    begin(tmp_path, **other, overwrite=True)


@pytest.mark.parametrize("columns", [COLUMNS[:-1], COLUMNS[:-2]])
def test_results_of_an_earlier_version_are_kept_and_networks_are_added_to_the_record(tmp_path, columns):
    """The earlier version measured no memory and no intensities, and did not record the networks."""
    record = {"weights": {}, "regions": ["1", "2", "1+2"], "tolerance_mm": 1.0, "cases": {"a": {}}}
    (tmp_path / "predictions.json").write_text(json.dumps(record))
    write_table(tmp_path / "metrics.csv", columns, [{"case": "a", "class": "1", "dice": 0.5, "seconds": 2}])
    (tmp_path / "a_prediction.nii.gz").touch()
    assert begin(tmp_path, networks={"one": NetworkSummary(7, False)}, cases={"a": {}}).is_done("a")
    networks = json.loads((tmp_path / "predictions.json").read_text())["networks"]
    assert networks == {"one": {"parameters": 7, "is_student": False}}
    (row,) = read_metrics(tmp_path)["a"]
    assert (row["dice"], row["seconds"], row["peak_memory_mb"], row["intensity_warning"]) == (0.5, 2, None, None)


def done(folder, *names, classes=()):
    """Write predictions and measures of cases to the folder of a run, with files that only some runs write."""
    rows = [{"case": name, "class": "1", "dice": 0.5, "seconds": 2} for name in names]
    write_table(folder / "metrics.csv", COLUMNS, rows)
    for name in names:
        kinds = ["prediction", "uncertainty", "entropy", "mutual_information", *(f"probability_{c}" for c in classes)]
        for path in [folder / f"{name}_overlay.png", *(folder / f"{name}_{kind}.nii.gz" for kind in kinds)]:
            path.touch()


def test_predictions_of_other_data_are_neither_mixed_nor_lost(tmp_path):
    begin(tmp_path, cases={"a": {}, "b": {}})
    done(tmp_path, "a")  # b was not reached
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=r"holds 1 predictions of cases that are not in the split \(a\)"):
        begin(tmp_path, cases={"c": {}})
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert begin(tmp_path, cases={"a": {}, "c": {}}).is_done("a")  # cases may be added
    (tmp_path / "a_prediction.nii.gz").unlink()  # its row goes with it
    begin(tmp_path, cases={"c": {}})
    assert not read_metrics(tmp_path)


def test_overwriting_removes_only_files_of_the_recorded_cases(tmp_path):
    """Tables, maps and probabilities of the recorded cases and classes are removed, whichever stage wrote them."""
    record = {"weights": {}, "classes": CLASSES.to_json(), "cases": {"a": {}, "../b": {}}}
    folder = tmp_path / "val"
    folder.mkdir()
    (folder / "predictions.json").write_text(json.dumps(record))
    done(folder, "a", classes="012")
    for name in ("members.csv", "uncertainty.csv", "comparison.csv", "comparison.png", "kept.csv"):
        (folder / name).touch()
    foreign_files = [folder / name for name in ("notes.csv", "z_prediction.nii.gz", "a_mine.nii.gz")]
    foreign_files.append(tmp_path / "b_prediction.nii.gz")
    for path in foreign_files:
        path.touch()
    begin(folder, cases={"c": {}}, overwrite=True)
    assert sorted([*tmp_path.glob("*.gz"), *folder.iterdir()]) == sorted([*foreign_files, folder / "predictions.json"])


def test_a_row_is_valid_only_for_the_originals_that_it_was_measured_on(tmp_path):
    """A changed original may be equal after resampling. Earlier versions did not record the originals."""
    resampled = {"image": "1", "reference": "2"}
    content = resampled | {"original_image": "3", "original_reference": "4"}
    begin(tmp_path, cases={"a": resampled})
    done(tmp_path, "a")
    assert begin(tmp_path, cases={"a": content}).is_done("a")
    assert begin(tmp_path, cases={"a": content}).is_done("a")
    assert not begin(tmp_path, cases={"a": content | {"original_reference": "5"}}).is_done("a")
    done(tmp_path, "a")
    assert not begin(tmp_path, cases={"a": {"image": "1"}}).is_done("a")


def write_earlier(folder, done=("a",)):
    """Write results of a version that measured the surface Dice by border voxels without recording it."""
    record = {"weights": {}, "regions": ["1", "2", "1+2"], "tolerance_mm": 1.0, "cases": {"a": {}, "b": {}}}
    (folder / "predictions.json").write_text(json.dumps(record))
    rows = [{"case": case, "class": "1", "surface_dice": 0.25, "seconds": 2} for case in done]
    write_table(folder / "metrics.csv", COLUMNS, rows)
    for case in done:
        (folder / f"{case}_prediction.nii.gz").touch()


def test_rows_of_an_earlier_surface_dice_are_kept_and_labelled(tmp_path, capsys):
    write_earlier(tmp_path, done=("a", "b"))
    results = begin(tmp_path, cases={"a": {}, "b": {}})
    assert results.is_done("a")
    assert results.is_done("b")
    assert "surface_dice" not in json.loads((tmp_path / "predictions.json").read_text())
    results.print_summary()
    assert "surface Dice by border voxels, as earlier versions measured it, at 1 mm" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"holds surface Dice by border voxels, .*; choose another"):
        results.add(CaseResult("b", None, None, 1.0))
    assert [row["surface_dice"] for rows in read_metrics(tmp_path).values() for row in rows] == [0.25, 0.25]


def test_new_rows_are_not_mixed_with_an_earlier_surface_dice(tmp_path):
    write_earlier(tmp_path)
    before = (tmp_path / "predictions.json").read_bytes()
    with pytest.raises(InputError, match=r"holds surface Dice by border voxels, .*; choose another .*--overwrite"):
        begin(tmp_path, cases={"a": {}, "b": {}})
    assert (tmp_path / "predictions.json").read_bytes() == before
    assert not begin(tmp_path, cases={"a": {}, "b": {}}, overwrite=True).is_done("a")
    assert json.loads((tmp_path / "predictions.json").read_text())["surface_dice"] == "area"


def test_an_earlier_run_without_measured_cases_is_continued(tmp_path):
    write_earlier(tmp_path, done=())
    assert not begin(tmp_path, cases={"a": {}, "b": {}}).is_done("a")
    assert json.loads((tmp_path / "predictions.json").read_text())["surface_dice"] == "area"
