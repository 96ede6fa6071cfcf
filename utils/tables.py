"""Tables on disk: CSV files that are whole at any time."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from base.atomic_file import write_text


def write_table(path: Path, columns: Sequence[str], rows: Iterable[dict]) -> None:
    """Write `rows` with a header of `columns`; what a row lacks or is None becomes an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


class CaseTable:
    """A table with some rows a case, written anew whenever a case is added.

    Args:
        columns: names of the columns; the first is ``case``.
        kept: names of the cases whose rows, if the file has some, still hold.
    """

    def __init__(self, path: Path, columns: Sequence[str], kept: Iterable[str]):
        self._path = path
        self._columns = columns
        self._rows: dict[str, list[dict]] = {name: [] for name in kept}
        for row in _read_rows(path, columns):
            if row["case"] in self._rows:
                self._rows[row["case"]].append(row)

    def add(self, case_name: str, rows: Iterable[dict]) -> None:
        """Put `rows` in the place of those of the case."""
        self._rows[case_name] = [{"case": case_name, **row} for row in rows]
        write_table(self._path, self._columns, (row for name in sorted(self._rows) for row in self._rows[name]))

    def print_mean(self, column: str, by: str, title: str) -> None:
        """Print the mean of a column over cases, for each value of the column `by`; nothing where it is empty."""
        numbers: dict[str, list[float]] = {}
        for row in (row for some in self._rows.values() for row in some):
            if row[column] not in ("", None):
                numbers.setdefault(row[by], []).append(float(row[column]))
        for value, some in numbers.items():
            print(f"{value}: {title}: {sum(some) / len(some):.4f} (mean of {len(some)})")


def _read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a table with just these columns; none of another one."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        return list(reader) if reader.fieldnames == list(columns) else []
