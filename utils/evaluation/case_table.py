"""Tables with rows per case, rewritten whenever a case is added."""

import re
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

from base.csv_files import read_table, write_table
from base.errors import InputError
from utils.runtime.processes import ALONE, Processes

_TEXTS = ("case", "class", "member", "map")  # columns; all others hold numbers
_REMEDY = "predict again with --overwrite"


class CaseTable:
    """A table with one or more rows per case, rewritten whenever a case is added.

    With several processes, the first adds to the table itself, each of the others to its own part beside it
    (``metrics.part1.csv``). `gather` merges the parts into the table; parts of a stopped run are merged when the next
    run begins.

    Args:
        columns: names of the columns; the first is ``case``.
        kept: names of the cases whose existing rows remain valid; rows of other cases are dropped.
        processes: that add to the table; the first must begin before the others.
        added: columns that tables of earlier versions may lack.

    Raises:
        InputError: the existing table is damaged, or has other columns.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        kept: Iterable[str],
        processes: Processes = ALONE,
        added: Sequence[str] = (),
    ):
        self._path = path
        self._added = added
        self._columns = columns
        self._is_first = processes.is_first
        self._own_path = path if self._is_first else path.with_name(f"{path.stem}.part{processes.rank}{path.suffix}")
        self._rows: dict[str, list[dict]] = {name: [] for name in kept}
        self._own_rows = self._rows if self._is_first else {}
        if self._rows:
            self._merge(path, kept=self._rows)
        if self._is_first:
            self.gather(kept=self._rows)

    def __contains__(self, case_name: str) -> bool:
        """Return True if the case has rows."""
        return bool(self._rows.get(case_name))

    def add(self, case_name: str, rows: Iterable[dict]) -> None:
        """Replace the rows of the case by `rows`."""
        self._rows[case_name] = self._own_rows[case_name] = [{"case": case_name, **row} for row in rows]
        self._write()

    def gather(self, kept: Container[str] | None = None) -> None:
        """Merge all parts (only cases in `kept`) into the table; call it in the first process, after the last `add`."""
        parts = self._parts()
        for part in parts:
            self._merge(part, kept)
        if parts or self._path.exists():
            self._write()
        for part in parts:
            part.unlink()

    def _parts(self) -> list[Path]:
        """Return the parts, recognized by name and columns; other files are ignored."""
        name = re.compile(rf"{re.escape(self._path.stem)}\.part\d+{re.escape(self._path.suffix)}")
        folder = self._path.parent
        found = [path for path in folder.iterdir() if name.fullmatch(path.name)] if folder.is_dir() else []
        try:
            return sorted(path for path in found if _read_rows(path, self._columns, self._added))
        except InputError as error:
            raise error.with_remedy(f"remove it, and {_REMEDY}") from None

    def _merge(self, path: Path, kept: Container[str] | None = None) -> None:
        """Read a file; its rows replace those of the same cases."""
        found = _read_rows(path, self._columns, self._added)
        if found is None:
            raise InputError(path, "has other columns than this program writes", _REMEDY)
        rows: dict[str, list[dict]] = {}
        for row in found:
            if kept is None or row["case"] in kept:
                rows.setdefault(row["case"], []).append(row)
        self._rows.update(rows)

    def _write(self) -> None:
        rows = (row for name in sorted(self._own_rows) for row in self._own_rows[name])
        write_table(self._own_path, self._columns, rows)

    def print_mean(self, column: str, by: str, title: str) -> None:
        """Print the mean of a column over cases, for each value of the column `by`; empty fields are ignored."""
        numbers: dict[str, list[float]] = {}
        for row in (row for some in self._rows.values() for row in some):
            if row[column] not in ("", None):
                numbers.setdefault(row[by], []).append(float(row[column]))
        for value, some in numbers.items():
            print(f"{value}: {title}: {sum(some) / len(some):.4f} (mean of {len(some)})")


def _read_rows(path: Path, columns: Sequence[str], added: Sequence[str]) -> list[dict[str, str]] | None:
    """Return the rows of a table with exactly these columns (`added` ones may be missing); None for other tables.

    Raises:
        InputError: the table is damaged, or holds something else than a number.
    """
    rows = read_table(path)
    if rows and list(rows[0]) != [name for name in columns if name not in added or name in rows[0]]:
        return None
    numbers = [name for name in rows[0] if name not in _TEXTS] if rows else []
    try:
        for row in rows:
            for name in numbers:
                float(row[name] or 0)
    except ValueError:
        raise InputError(path, f"is damaged ({name} of {row['case']} is no number)", _REMEDY) from None
    return rows
