"""The table of a report's cases: sortable by every column, worst first, each row opening its picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from base.label_classes import MEAN
from base.run_files import overlay_path
from utils.pages.page import embedded
from utils.pages.plain_text import safe
from utils.reporting.run_figures import RunFigures
from utils.reporting.words import digits_of, number

_MOST_ROWS = 1000
_LARGEST_EMBEDDED = 6_000_000  # bytes of pictures in a page; all others are linked
_OF_CLASS = {"dice": "Dice", "hausdorff_mm": "Hausdorff, mm", "volume_ml": "ml", "reference_volume_ml": "reference, ml"}
_FEW_CLASSES = 4  # with more, only the Dice of each is shown


@dataclass(frozen=True)
class _Column:
    """A column of numbers: the group that it belongs to, its name, and its value for a case."""

    group: str
    name: str
    digits: int
    value: Callable[[str], float | None]


def case_table(run: RunFigures) -> str:
    """Return the table as HTML; empty without cases."""
    names = run.worst_first()
    if not names:
        return ""
    columns = [column for column in _columns(run) if any(column.value(name) is not None for name in names)]
    several = any(case != patient for case, patient in run.patients.items())
    texts = ["case", *(["patient"] if several else [])]
    left, rows = _LARGEST_EMBEDDED, []
    for name in names[:_MOST_ROWS]:
        picture, size = _picture(run.folder, name, left)
        left -= size
        is_open = not rows  # the worst case is seen at once
        rows.append(_row(name, [run.patients[name]] if several else [], columns, picture, is_open))
    note = f"<p class='small'>The worst {_MOST_ROWS} of {len(names)} cases; metrics.csv has all.</p>"
    return (
        '<p class="small">Select a case to see its picture, or the head of a column to sort by it. The worst come '
        f'first.</p>\n<div class="wide"><table class="sortable">\n<thead>{_groups(len(texts), columns)}'
        f"<tr>{_heads(texts, columns)}</tr></thead>\n{''.join(rows)}</table></div>"
        + (note if len(names) > _MOST_ROWS else "")
    )


def _columns(run: RunFigures) -> list[_Column]:
    """Return the columns of a run; some may have no values."""
    overall = MEAN if len(run.classes) > 1 else run.classes[0]
    columns = []
    if overall == MEAN:
        columns.append(_Column("mean of classes", "Dice", 3, run.values(MEAN, "dice").get))
    columns += [
        _Column("predicted", "Dice", 3, run.trust.column(overall, "predicted_dice").get),
        _Column("predicted", "at least", 3, run.trust.column(overall, "predicted_dice_low").get),
    ]
    shown = _OF_CLASS if len(run.regions) <= _FEW_CLASSES else {"dice": "Dice"}
    for region in run.regions:
        columns += [
            _Column(
                f"class {region}",
                name,
                1 if measure.endswith("ml") else digits_of(measure),
                run.values(region, measure).get,
            )
            for measure, name in shown.items()
        ]
    columns.append(_Column("", "seconds", 2, lambda case: run.rows[case][0]["seconds"]))
    columns.append(_Column("", "intensity warning", 0, lambda case: run.rows[case][0]["intensity_warning"] or None))
    return columns


def _groups(before: int, columns: Sequence[_Column]) -> str:
    """Return the row of heads above those of the columns."""
    cells, place = ["<th></th>"] * before, 0
    while place < len(columns):
        same = 1
        while place + same < len(columns) and columns[place + same].group == columns[place].group:
            same += 1
        cells.append(f'<th colspan="{same}">{safe(columns[place].group)}</th>')
        place += same
    return f'<tr class="group">{"".join(cells)}</tr>'


def _heads(texts: Sequence[str], columns: Sequence[_Column]) -> str:
    names = [*texts, *(column.name for column in columns)]
    return "".join(
        f'<th data-column="{place}"><button type="button">{safe(name)}</button></th>'
        for place, name in enumerate(names)
    )


def _row(name: str, more: Sequence[str], columns: Sequence[_Column], picture: str, is_open: bool) -> str:
    """Return the row of a case, and the row of its picture, hidden unless `is_open`."""
    shown = safe(name).replace("_", "_<wbr>")  # where a narrow window may break it
    first = f'<button type="button" aria-expanded="{str(is_open).lower()}">{shown}</button>' if picture else shown
    cells = [f'<td class="name" data-value="{safe(name)}">{first}</td>']
    cells += [f'<td data-value="{safe(text)}">{safe(text)}</td>' for text in more]
    for column in columns:
        value = column.value(name)
        plain = "" if value is None else f"{value:.6g}"
        cells.append(f'<td data-value="{plain}">{number(value, column.digits) if value is not None else ""}</td>')
    hidden = "" if is_open else " hidden"
    opened = f'<tr class="picture"{hidden}><td colspan="{len(cells)}">{picture}</td></tr>' if picture else ""
    return f'<tbody><tr class="case">{"".join(cells)}</tr>{opened}</tbody>\n'


def _picture(folder: Path, name: str, left: int) -> tuple[str, int]:
    """Return the picture of a case as HTML, and the bytes that it takes from those `left` in the page."""
    path = overlay_path(folder, name)
    if not path.is_file():
        return "", 0
    size = path.stat().st_size
    link = safe(quote(path.name))
    if size > left:
        source, size = link, 0
    else:
        source = embedded(path.read_bytes())
    image = f'<img loading="lazy" alt="overlay of {safe(name)}" src="{source}">'
    return f'<a href="{link}">{image}</a>', size
