"""Markdown tables of a study."""

from collections.abc import Iterable, Mapping

CLAIM_HEADINGS = {
    "claim": "claim",
    "difference": "difference",
    "interval": "95% interval",
    "p": "p",
    "p_holm": "p (Holm)",
    "bar": "bar",
    "met": "shown",
}


def sections(tables: Mapping[str, str]) -> str:
    """Return tables below their titles, without those that are empty."""
    return "\n".join(f"## {title}\n\n{table}" for title, table in tables.items() if table)


def markdown_table(columns: Mapping[str, str], rows: Iterable[Mapping]) -> str:
    """Return a table of `rows`; `columns` are headings by key, and missing or None values are left empty.

    Without rows, the text is empty.
    """
    rows = list(rows)
    if not rows:
        return ""
    lines = [list(columns.values()), ["---"] * len(columns)]
    lines += [["" if row.get(key) is None else str(row[key]) for key in columns] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def p_text(p: float | None) -> str:
    return "" if p is None else f"{p:.4f}" if p >= 0.0001 else "<0.0001"


def interval_text(low: float | None, high: float | None) -> str:
    return f"{_signed(low)} to {_signed(high)}"


def _signed(value: float | None) -> str:
    return "no limit" if value is None else f"{value:+.4f}"


def claim_row(row: Mapping) -> dict:
    """Return a row of `studies.claims.decide_claims` as text."""
    return {
        "claim": row["claim"],
        "difference": f"{row['difference']:+.4f}",
        "interval": interval_text(row["low"], row["high"]),
        "p": p_text(row["p"]),
        "p_holm": p_text(row["p_holm"]),
        "bar": f"{row['bar']:g}",
        "met": "yes" if row["met"] else "NO",
    }
