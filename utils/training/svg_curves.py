"""Curves as self-contained SVG for HTML pages. Standard library only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 480, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 10, 44
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
    low, high = y_range or _range_of(shown)
    x_low, x_high = (min(x), max(x)) if x else (0, 1)
    x_low = min(x_low, 0) if x_low == x_high else x_low
    x_high = x_high if x_high > x_low else x_low + 1

    def place(across: float, up: float) -> tuple[float, float]:
        return (
            _LEFT + (across - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - (up - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM),
        )

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(y_label)}">']
    for tick in _ticks(low, high):
        _, y = place(x_low, tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in _ticks(x_low, x_high):
        across, _ = place(tick, low)
        parts.append(f'<path class="grid" d="M{across:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
        parts.append(f'<text x="{across:.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{tick:.12g}</text>')
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 5}" text-anchor="middle">{escape(x_label)}</text>'
    )
    parts.append(f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>')
    stride = -(-len(x) // _MOST_POINTS) or 1
    for curve in curves:
        points = list(zip(x, curve.values))
        points = points[-1::-stride][::-1]  # the last point is always kept
        parts += _lines([place(*point) if _is_number(point[1]) else None for point in points], curve.colour)
    return "".join([*parts, "</svg>"])


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


def _ticks(low: float, high: float) -> list[float]:
    """Return three to nine round numbers from `low` to `high`."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = max(factor * power for factor in (1, 2, 5, 10) if factor * power <= 1.4 * raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]
