import json

from base.run_record import RunRecord


def record_of(folder, **values) -> RunRecord | None:
    (folder / "predictions.json").write_text(json.dumps(values))
    return RunRecord.read(folder)


def test_no_record_and_an_empty_one_are_none(tmp_path):
    assert RunRecord.read(tmp_path) is None
    assert record_of(tmp_path) is None


def test_every_key_is_compared_except_those_that_change_from_call_to_call(tmp_path):
    """Keys of other versions, and a part of an ensemble's, count like any other."""
    one = record_of(tmp_path, weights={"a": "0"}, cases={"c": {"image": "1"}}, clips={"c": "2"})
    assert one.differences(one) == []
    assert record_of(tmp_path, weights={"a": "0"}, cases={}).differences(one) == []
    for key, value in {"clip": True, "cross_fit": True, "later": [1], "overlap": 0.5}.items():
        other = record_of(tmp_path, weights={"a": "0"}, **{key: value})
        assert other.differences(one) == [(key, None, value)]
        assert one.differences(other) == [(key, value, None)]


def test_a_record_is_written_as_it_was_read(tmp_path):
    values = {"weights": {"a": "0"}, "clip_to": None, "overlap": 0.5, "cases": {"c": {"image": "1"}}, "later": {"x": 1}}
    record_of(tmp_path, **values).write(tmp_path)
    assert json.loads((tmp_path / "predictions.json").read_text()) == values
