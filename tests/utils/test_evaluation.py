"""Results that are measured differently are not mixed."""

import json

import pytest

from base.errors import InputError
from base.label_classes import parse_classes
from base.regions import parse_regions, regions_of
from utils.evaluation import Evaluation

CLASSES = parse_classes("0,1,2")


def begin(folder, regions="1+2", tolerance_mm=1.0, overwrite=False):
    return Evaluation(
        folder, {"weights": {}}, {}, {}, regions_of(CLASSES, parse_regions(regions)), tolerance_mm, overwrite
    )


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
