import pytest

from base.errors import InputError
from base.json_files import check_shape, read_json, write_json

SHAPE = {"name": str, "size": [int, int], "parts?": [{"share": float}], "sums": {str: (None, str)}}
GOOD = {"name": "a", "size": [1, 2], "sums": {"x": None, "y": "0"}, "more": [[]]}


def test_a_value_survives_a_round_trip(tmp_path):
    write_json(tmp_path / "record.json", GOOD)
    assert read_json(tmp_path / "record.json", SHAPE, "") == GOOD


def test_a_path_that_is_not_utf8_survives_a_round_trip(tmp_path):
    write_json(tmp_path / "record.json", {"link": "/M\udcfcller"})
    assert read_json(tmp_path / "record.json", {"link": str}, "") == {"link": "/M\udcfcller"}


def test_a_missing_file_is_distinguished_from_a_damaged_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "record.json", SHAPE, "")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"name": NaN}',
        b'{"name": 1e999}',
        b"9" * 10_000,
        b"null",
        b"[]",
    ],
    ids=lambda content: repr(content[:12]),
)
def test_invalid_json_is_reported_in_one_line(tmp_path, content):
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"record\.json: is damaged \(.*\); do this") as error:
        read_json(path, SHAPE, "do this")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": 1}, "name: expected text, found 1"),
        ({"name": None}, "name: expected text, found null"),
        ({"size": [1]}, "size: expected 2 values, found 1"),
        ({"size": [1, True]}, r"size\[1\]: expected a whole number, found true"),
        ({"size": [1, 2.5]}, r"size\[1\]: expected a whole number"),
        ({"size": {}}, "size: expected a list"),
        ({"parts": [{"share": "x"}]}, r"parts\[0\].share: expected a number"),
        ({"parts": [{}]}, r"parts\[0\]: share is missing"),
        ({"sums": {"x": []}}, "sums.x: expected text"),
        ({"sums": []}, "sums: expected an object"),
    ],
)
def test_the_position_of_a_wrong_shape_is_reported(change, problem):
    check_shape(GOOD, SHAPE)
    with pytest.raises(ValueError, match=problem):
        check_shape({**GOOD, **change}, SHAPE)


def test_numbers_must_be_finite_and_functions_may_check():
    def even(value):
        if value % 2:
            raise ValueError("it is odd")

    check_shape([2, 4], [even])
    with pytest.raises(ValueError, match=r"\[1\]: it is odd"):
        check_shape([2, 5], [even])
    with pytest.raises(ValueError, match="a number"):
        check_shape(float("nan"), float)


def test_a_folder_is_not_read_as_json(tmp_path):
    (tmp_path / "record.json").mkdir()
    with pytest.raises(InputError, match="it is not a regular file"):
        read_json(tmp_path / "record.json", SHAPE, "")
