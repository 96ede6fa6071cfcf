"""Tests of the patient of a case: given by a file, by the layout, or by the record of stage 1."""

import json

import pytest

from base.errors import InputError
from data.layouts import SourceCase
from data.patients import read_patients, with_patients

NAMES = ["a_1", "a_2", "b_1"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("table.csv", b"a_1,a\na_2,a\n"),
        ("table.csv", b"case,patient\r\na_1,a\r\na_2,a\r\n\r\n"),
        ("table.csv", "\ufeffcase;patient\na_1;a\na_2;a".encode()),
        ("table.tsv", "a_1\ta\na_2\ta\n".encode("utf-16")),
        ("table.json", b'{"a_1": "a", "a_2": "a"}'),
    ],
)
def test_a_file_gives_patients(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert read_patients(tmp_path / name, NAMES) == {"a_1": "a", "a_2": "a"}


def test_patients_may_be_numbers(tmp_path):
    (tmp_path / "table.json").write_text('{"a_1": 17, "b_1": "18"}')
    assert read_patients(tmp_path / "table.json", NAMES) == {"a_1": "17", "b_1": "18"}


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("table.csv", b"a_1,a\na_2\n", "line 2 does not consist of a case and a patient"),
        ("table.csv", b"a_1,\n", "line 1 does not consist of a case and a patient"),
        ("table.csv", b"c_1,c\n", "names case c_1, which is not in the data"),
        ("table.csv", b"a_1,a\na_1,b\n", "gives case a_1 two patients"),
        ("table.csv", b"case,patient\n", "names no case"),
        ("table.csv", b"\xff\xff\xff", "is not text in UTF-8 or UTF-16"),
        ("table.json", b'{"a_1": ["a"]}', "is not a table of cases and patients"),
        ("table.json", b'{"a_1": ""}', "a patient has no name"),
        ("table.json", b"{", "is not a table of cases and patients"),
    ],
)
def test_an_invalid_file_is_refused(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=problem):
        read_patients(tmp_path / name, NAMES)
    with pytest.raises(InputError, match="there is no such file; check --patients"):
        read_patients(tmp_path / "nowhere.csv", NAMES)


def test_a_file_has_precedence_over_the_layout_and_the_layout_over_a_record(tmp_path):
    for name in ("told", "layout", "record", "nothing"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "resampling.json").write_text(json.dumps({"patient": "of the record"}))
    (tmp_path / "nothing" / "resampling.json").write_text("{")
    sources = [
        SourceCase(name, tmp_path, None, patient="of layout" * (name != "record"))
        for name in ("told", "layout", "record")
    ]
    sources.append(SourceCase("nothing", tmp_path, None))
    found = with_patients(sources, [tmp_path / source.name for source in sources], {"told": "of the file"})
    assert [source.owner for source in found] == ["of the file", "of layout", "of the record", "nothing"]
