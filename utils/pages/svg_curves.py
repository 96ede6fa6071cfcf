"""Curves as self-contained SVG for HTML pages. Standard library only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from utils.pages.svg_axes import Axes

_MOST_POINTS = 1000  # of a curve; more cannot be distinguished


@dataclass(frozen=True)
class Curve:
    """A named curve; values that are None or not finite are gaps."""

    name: str
    colour: str
    values: Sequence[float | None]


def plot_svg(
    x: Sequence[float],
    curves: Sequence[Curve],
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
) -> str:
    """Return an <svg> element with axes, ticks and labels; by default, `y_range` follows from the values."""
    shown = [value for curve in curves for value in curve.values if _is_number(value)]
    x_low, x_high = (min(x), max(x)) if x else (0, 1)
    x_low = min(x_low, 0) if x_low == x_high else x_low
    axes = Axes((x_low, x_high if x_high > x_low else x_low + 1), y_range or _range_of(shown), x_label, y_label)
    parts = []
    stride = -(-len(x) // _MOST_POINTS) or 1
    for curve in curves:
        points = list(zip(x, curve.values))
        points = points[-1::-stride][::-1]  # the last point is always kept
        parts += _lines([axes.place(*point) if _is_number(point[1]) else None for point in points], curve.colour)
    return axes.svg(parts)


def _lines(places: Sequence[tuple[float, float] | None], colour: str) -> list[str]:
    """Return one polyline for each part without a gap, and a dot at its end."""
    elements, part = [], []
    for place in [*places, None]:
        if place is not None:
            part.append(f"{place[0]:.1f},{place[1]:.1f}")
        elif part:
            elements.append(f'<polyline stroke="{colour}" points="{" ".join(part)}"/>')
            across, up = part[-1].split(",")
            elements.append(f'<circle fill="{colour}" cx="{across}" cy="{up}" r="3"/>')
            part = []
    return elements


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _range_of(values: Sequence[float]) -> tuple[float, float]:
    """Return a range that contains all `values` with a margin."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin
