import json

import pytest

from base.errors import InputError
from data.case_record import read_case_record
from data.cases import find_cases

VALUES = [None, [], "text", -1, [[1]], {"image": []}, {"image": "text"}, {"a": {"b": 1}}]


@pytest.fixture
def record(kidneys) -> dict:
    """The record of a case, as stage 1 wrote it."""
    return find_cases(kidneys, "train")[0].record


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_a_record_is_refused_or_can_be_read_field_by_field(record, tmp_path, value):
    """Whichever of its fields another value replaces, every property of a case exists, or reading names the file."""
    refused = 0
    for key in record:
        folder = tmp_path / "val" / "case"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resampling.json").write_text(json.dumps({**record, key: value}))
        try:
            read_case_record(folder, "remove it")
        except InputError as error:
            assert "resampling.json" in str(error)
            refused += 1
            continue
        (case,) = find_cases(tmp_path, "val")
        for known in (case.record.get("placed"), case.record.get("source")):
            for one in (known or {}).values():
                assert one is None or one.get("bytes", 0) >= 0
        assert isinstance(case.patient, str)
        assert {*case.labels} <= {*range(256)}
        assert case.grid.shape and case.original_grid.shape and case.content
    assert refused > len(record) / 2
