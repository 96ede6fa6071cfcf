"""Tables of a study in Markdown, for its document."""

from collections.abc import Mapping, Sequence


def markdown_table(columns: Mapping[str, str], rows: Sequence[Mapping]) -> str:
    """`rows` under headings; `columns` are headings by key, and what a row lacks or is None stays empty."""
    lines = [list(columns.values()), ["---"] * len(columns)]
    lines += [["" if row.get(key) is None else str(row[key]) for key in columns] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def p_text(p: float | None) -> str:
    return "" if p is None else f"{p:.4f}" if p >= 0.0001 else "<0.0001"


def interval_text(low: float | None, high: float | None) -> str:
    return f"{_signed(low)} to {_signed(high)}"


def _signed(value: float | None) -> str:
    return "no limit" if value is None else f"{value:+.4f}"
