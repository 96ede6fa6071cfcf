"""Axes of SVG charts: grid, ticks and labels. Standard library only."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from utils.pages.plain_text import safe

_WIDTH, _HEIGHT = 480, 270
_HALF_DIGIT = 4.5  # of the largest font, that of narrow windows
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 10, 44


@dataclass(frozen=True)
class Axes:
    """Axes of a chart.

    Attributes:
        x_range, y_range: lowest and highest value, which differ.
        names: of the rows of a chart whose vertical axis has no numbers: 0, 1, ... from the top.
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_label: str
    y_label: str
    names: Sequence[str] = ()

    def place(self, across: float, up: float) -> tuple[float, float]:
        """Return the pixel of a point."""
        (x_low, x_high), (low, high) = self.x_range, self.y_range
        return (
            _LEFT + (across - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - (up - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM),
        )

    def svg(self, parts: Iterable[str]) -> str:
        """Return an <svg> element with the axes, and `parts` drawn over them."""
        frame = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{safe(self.y_label)}">']
        for tick in _ticks(*self.y_range) if not self.names else range(len(self.names)):
            _, y = self.place(self.x_range[0], tick)
            text = safe(self.names[tick]) if self.names else f"{tick:g}"
            frame.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
            frame.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
        for tick in _ticks(*self.x_range):
            x, _ = self.place(tick, self.y_range[0])
            frame.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
            text = f"{tick:.12g}"
            x = min(x, _WIDTH - _HALF_DIGIT * len(text))
            frame.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{text}</text>')
        middle = (_TOP + _HEIGHT - _BOTTOM) / 2
        x = (_LEFT + _WIDTH - _RIGHT) / 2
        frame.append(f'<text x="{x}" y="{_HEIGHT - 5}" text-anchor="middle">{safe(self.x_label)}</text>')
        turned = f'transform="translate(14 {middle}) rotate(-90)" text-anchor="middle"'
        frame.append(f"<text {turned}>{safe(self.y_label)}</text>")
        return "".join([*frame, *parts, "</svg>"])


def _ticks(low: float, high: float) -> list[float]:
    """Return three to nine round numbers from `low` to `high`."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = max(factor * power for factor in (1, 2, 5, 10) if factor * power <= 1.4 * raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]
