"""Results that are measured differently are not mixed."""

import json

import pytest

from base.errors import InputError
from base.label_classes import parse_classes
from base.regions import parse_regions, regions_of
from utils.evaluation import COLUMNS, Evaluation, read_metrics
from utils.tables import write_table

CLASSES = parse_classes("0,1,2")


def begin(folder, regions="1+2", tolerance_mm=1.0, overwrite=False, networks=(), cases=()):
    measured = (regions_of(CLASSES, parse_regions(regions)), tolerance_mm)
    return Evaluation(folder, {"weights": {}}, dict(networks), dict(cases), *measured, overwrite)


def test_how_it_is_measured_is_recorded(tmp_path):
    begin(tmp_path, tolerance_mm=2.5)
    record = json.loads((tmp_path / "predictions.json").read_text())
    assert record["tolerance_mm"] == 2.5
    assert record["regions"] == ["1", "2", "1+2"]


@pytest.mark.parametrize("other", [{"tolerance_mm": 2.0}, {"regions": "1"}], ids=["tolerance", "regions"])
def test_results_that_are_measured_otherwise_are_not_mixed(tmp_path, other):
    begin(tmp_path)
    begin(tmp_path)
    with pytest.raises(InputError, match="choose another run name"):
        begin(tmp_path, **other)
    begin(tmp_path, **other, overwrite=True)


def test_results_of_an_earlier_version_hold_and_what_comparisons_tell_is_added(tmp_path):
    """That measured no memory, and did not write what is known of the networks."""
    record = {"weights": {}, "regions": ["1", "2", "1+2"], "tolerance_mm": 1.0, "cases": {"a": {}}}
    (tmp_path / "predictions.json").write_text(json.dumps(record))
    write_table(tmp_path / "metrics.csv", COLUMNS[:-1], [{"case": "a", "class": "1", "dice": 0.5, "seconds": 2}])
    (tmp_path / "a_prediction.nii.gz").touch()
    assert begin(tmp_path, networks={"one": {"parameters": 7}}, cases={"a": {}}).is_done("a")
    assert json.loads((tmp_path / "predictions.json").read_text())["networks"] == {"one": {"parameters": 7}}
    (row,) = read_metrics(tmp_path)["a"]
    assert (row["dice"], row["seconds"], row["peak_memory_mb"]) == (0.5, 2, None)
