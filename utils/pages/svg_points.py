"""Points as self-contained SVG for HTML pages: scatter charts, and strips of one value by group."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

from utils.pages.plain_text import safe
from utils.pages.svg_axes import Axes

_MOST_POINTS = 600  # of a group; more cannot be distinguished
_RADIUS = 3.6
_MARKS = "●■▲◆"  # told apart without colours


@dataclass(frozen=True)
class Points:
    """A named group of points (x, y), each with a name that a browser shows where it is pointed at."""

    name: str
    colour: str
    points: Sequence[tuple[float, float, str]]


def scatter_svg(
    groups: Sequence[Points],
    axes: Axes,
    lines: Sequence[tuple[tuple[float, float], tuple[float, float], bool]] = (),
) -> str:
    """Return an <svg> element of points.

    Args:
        lines: (beginning, end, whether it is dashed), in values of the axes.
    """
    parts = []
    for begin, end, is_dashed in lines:
        (x, y), (right, top) = axes.place(*begin), axes.place(*end)
        dashes = ' stroke-dasharray="5 4"' if is_dashed else ""
        parts.append(f'<path class="guide"{dashes} d="M{x:.1f} {y:.1f}L{right:.1f} {top:.1f}"/>')
    for number, group in enumerate(groups):
        for x, y, name in thinned(group.points):
            parts.append(_mark(number, *axes.place(x, y), group.colour, name))
    return axes.svg(parts)


def strips_svg(groups: Sequence[Points], x_range: tuple[float, float], x_label: str) -> str:
    """Return an <svg> element with a row for each group: a mark for each x, a line at the median, a box of quartiles.

    The y of the points is not used.
    """
    axes = Axes(x_range, (len(groups) - 0.5, -0.5), x_label, "class", [group.name for group in groups])
    parts = []
    for row, group in enumerate(groups):
        values = [x for x, _, _ in group.points]
        if len(values) > 1:
            low, median, high = quantiles(values, n=4, method="inclusive")
            (left, top), (right, bottom) = axes.place(low, row - 0.36), axes.place(high, row + 0.36)
            box = f'x="{left:.1f}" y="{top:.1f}" width="{max(0.5, right - left):.1f}" height="{bottom - top:.1f}"'
            parts.append(f'<rect class="box" {box}/>')
            middle, _ = axes.place(median, row)
            parts.append(f'<path class="median" d="M{middle:.1f} {top:.1f}V{bottom:.1f}"/>')
        for place, (x, _, name) in enumerate(thinned(group.points)):
            spread = 0.5 * ((place * 0.618) % 1 - 0.5)  # golden ratio: neighbours lie apart
            parts.append(_mark(row, *axes.place(x, row + spread), group.colour, name))
    return axes.svg(parts)


def thinned(points: Sequence[tuple[float, float, str]]) -> Sequence[tuple[float, float, str]]:
    """Return at most 600 points, evenly chosen."""
    return points[:: -(-len(points) // _MOST_POINTS) or 1]


def mark_of(number: int) -> str:
    """Return the mark of the points of a group, by its number."""
    return _MARKS[number % len(_MARKS)]


def _mark(number: int, x: float, y: float, colour: str, name: str) -> str:
    r = _RADIUS
    if mark_of(number) == "●":
        shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}"'
    else:
        outlines = {
            "■": f"M{x - r:.1f} {y - r:.1f}h{2 * r}v{2 * r}h{-2 * r}z",
            "▲": f"M{x:.1f} {y - r:.1f}l{r} {2 * r}h{-2 * r}z",
            "◆": f"M{x:.1f} {y - r:.1f}l{r} {r}l{-r} {r}l{-r} {-r}z",
        }
        shape = f'<path d="{outlines[mark_of(number)]}"'
    return f'{shape} class="mark" fill="{colour}"><title>{safe(name)}</title></{shape[1:].split()[0]}>'


def range_around(values: Sequence[float], margin: float = 0.06) -> tuple[float, float]:
    """Return a range that contains finite `values` with a margin; 0 to 1 without values."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    space = margin * (high - low) or 0.1 * abs(high) or 1.0
    return low - space, high + space
