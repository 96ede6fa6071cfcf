"""CSV files: written whole, read with checks."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from base.atomic_file import write_text
from base.errors import InputError
from base.text_files import decode


def write_table(path: Path, columns: Sequence[str], rows: Iterable[dict]) -> None:
    """Write `rows` with a header of `columns`; what a row lacks or is None becomes an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def rounded(row: dict) -> dict:
    """The row with each float as text of six digits."""
    return {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()}


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a table, by the names of its columns; none where there is no such file.

    Raises:
        InputError: the file is damaged: no text, or a row that has not as many fields as there are columns.
    """
    try:
        text = decode(path.read_bytes())
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    except FileNotFoundError:
        return []
    except (ValueError, csv.Error):
        raise InputError(path, "is damaged", "remove it, and predict again") from None
    if not text.endswith("\n") or any(len(row) != len(header) for row in rows):
        raise InputError(path, "is damaged (it is cut short)", "remove it, and predict again")
    return [dict(zip(header, row)) for row in rows]
