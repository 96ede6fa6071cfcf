import pytest

from base.csv_files import read_table
from base.errors import InputError
from tests.material import rows_of
from utils.evaluation.case_table import CaseTable
from utils.runtime.processes import Processes

FIRST, SECOND = Processes(0, 2), Processes(1, 2)


def begin(folder, kept=(), processes=FIRST) -> CaseTable:
    return CaseTable(folder / "table.csv", ("case", "value"), kept, processes)


def values_of(folder) -> dict[str, str]:
    return {row["case"]: row["value"] for row in rows_of(folder / "table.csv")}


def test_each_process_has_a_part_until_gathered(tmp_path):
    first, second = begin(tmp_path), begin(tmp_path, processes=SECOND)
    second.add("b", [{"value": 2}])
    first.add("c", [{"value": 3}])
    second.add("a", [{"value": 1}])
    assert values_of(tmp_path) == {"c": "3"}
    first.gather()
    assert list(values_of(tmp_path).items()) == [("a", "1"), ("b", "2"), ("c", "3")]
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_leftover_part_replaces_rows_of_the_table_for_kept_cases_only(tmp_path):
    first, second = begin(tmp_path), begin(tmp_path, processes=SECOND)
    for name in "ab":
        first.add(name, [{"value": 1}])
    for name in "bc":
        second.add(name, [{"value": 2}])
    again = begin(tmp_path, kept="ab")
    assert values_of(tmp_path) == {"a": "1", "b": "2"}
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    assert ("b" in again, "c" in again) == (True, False)
    begin(tmp_path)
    assert values_of(tmp_path) == {}


def test_another_process_knows_kept_cases_but_does_not_rewrite_them(tmp_path):
    begin(tmp_path).add("a", [{"value": 1}])
    second = begin(tmp_path, kept="a", processes=SECOND)
    assert "a" in second
    second.add("b", [{"value": 2}])
    assert [row["case"] for row in rows_of(tmp_path / "table.part1.csv")] == ["b"]


def test_a_table_that_a_spreadsheet_saved_is_read(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("case,value\r\na,1\r\n", encoding="utf-8-sig", newline="")
    assert read_table(path) == [{"case": "a", "value": "1"}]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("case,value,remark\na,1,good\n", "has other columns than this program writes"),
        ("case;value\na;1\n", "has other columns than this program writes"),
        ("case,value\na,one\n", "is damaged (value of a is no number)"),
    ],
)
def test_a_table_that_was_edited_is_refused_and_stays(tmp_path, text, problem):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        begin(tmp_path, kept="a")
    assert problem in str(error.value)
    assert path.read_text() == text


def test_a_damaged_part_is_an_error_that_says_what_to_do(tmp_path):
    (tmp_path / "table.part1.csv").write_text("case,val")
    with pytest.raises(
        InputError, match=r"table\.part1\.csv: is damaged.*remove it, and predict again with --overwrite"
    ):
        begin(tmp_path)
