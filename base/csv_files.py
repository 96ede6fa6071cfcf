"""CSV files: atomic writing, and reading with checks."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from base.atomic_file import write_text
from base.errors import InputError
from base.text_files import decode


def write_table(path: Path, columns: Sequence[str], rows: Iterable[dict]) -> None:
    """Write `rows` under a header of `columns`; missing values and None become empty fields."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def rounded(row: dict) -> dict:
    """Return the row with each float formatted to six significant digits."""
    return {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()}


def read_table(path: Path, remedy: str = "predict again with --overwrite") -> list[dict[str, str]]:
    """Read a table as one dict per row, keyed by column; return an empty list if the file does not exist.

    Raises:
        InputError: the file is damaged: it is not text, or a row does not have one field per column.
    """
    try:
        text = decode(path.read_bytes())
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    except FileNotFoundError:
        return []
    except (ValueError, csv.Error):
        raise InputError(path, "is damaged", remedy) from None
    if not text.endswith("\n") or any(len(row) != len(header) for row in rows):
        raise InputError(path, "is damaged (it is truncated)", remedy)
    return [dict(zip(header, row)) for row in rows]
