"""Overlay picture of a case: what the prediction gets wrong, at first glance.

Rows of panels, one for each plane:

    most wrong          the slices with the largest areas of errors; without a reference, of doubt
    farthest error      the voxel of the Hausdorff distance, where the first row does not show it
    most foreground     the slices with the largest areas of the structures

Panels are zoomed to prediction and reference; small views of the whole scan show where they lie.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
from contourpy import contour_generator

from base.intensity_records import Range
from utils.evaluation.case_measures import Segmentation
from utils.evaluation.overlay_panels import (
    FALSE_POSITIVE,
    Panel,
    View,
    close_view,
    full_view,
    legend_of,
    scale_bar_mm,
    shown_box,
)
from utils.evaluation.shown_slices import (
    DoubtMap,
    Slices,
    busiest_slices,
    errors_of,
    farthest_error,
    most_wrong_slices,
)
from utils.runtime.figures import CLASS_COLOURS, DPI, matplotlib, plt, save_figure

# Pixels.
_PANEL, _SMALL, _GAP, _TITLE, _ROW_TITLE, _TEXT = 372, 106, 8, 34, 22, 338
_LINE, _FIRST_LINE = 21, 18  # of text
_FAR_MM = 10.0  # an error farther away gets a row of its own, where the others do not show it
_LONGEST_TITLE = 110  # characters
_SPARSE = 64  # voxels of a side, for the window of a scan without one
_DASHES = (0, (4, 2.5))
_CASING = [matplotlib.patheffects.withStroke(linewidth=3, foreground="black")]


@dataclass(frozen=True)
class ShownCase:
    """A case as its overlay shows it.

    Attributes:
        name: of the case.
        run: name of the run, for the title.
        segmentation: scan, prediction and reference.
        classes: (name, label) of the foreground classes.
        measures: rows of `measure_case`, of each class and union.
        window: intensities shown in black and white; None for the percentiles 1 and 99.5 of the scan.
        doubt: where the prediction is doubtful, for cases without a reference.
    """

    name: str
    run: str
    segmentation: Segmentation
    classes: Sequence[tuple[str, int]]
    measures: Sequence[Mapping[str, str | float | None]] = ()
    window: Range | None = None
    doubt: DoubtMap | None = None


def plot_overlay(path: Path, case: ShownCase) -> None:
    """Plot a case: prediction as solid lines, reference as dashed lines, and the areas where they differ."""
    segmentation = case.segmentation
    window = case.window or _own_window(segmentation.image)
    far = _far_error(case)
    rows = _rows_of(case, far)
    box = shown_box(segmentation)
    height, width = _TITLE + len(rows) * (_ROW_TITLE + _PANEL + _GAP), 3 * (_PANEL + _GAP) + 2 * _GAP + _TEXT
    page = _Page(height, width, case)
    page.axes.text(_GAP, _TITLE / 2, _title(case), fontsize=12, va="center", weight="bold")
    panels = []
    for number, (what, slices) in enumerate(rows.items()):
        top = _TITLE + number * (_ROW_TITLE + _PANEL + _GAP) + _ROW_TITLE
        for axis, position in enumerate(slices):
            panel = Panel(segmentation, close_view(segmentation, box, axis, position), _PANEL, window)
            panels.append(panel)
            left = _GAP + axis * (_PANEL + _GAP)
            page.add(panel, left, top, line_width=1.7)
            page.write_directions(panel.view, left, top)
            title = f"{panel.view.title(segmentation)}: {what}"
            page.axes.text(left, top - _ROW_TITLE / 2 + 2, title, fontsize=9.5, va="center")
            if far and position == far[0][axis]:
                page.circle(panel.pixel_of(far[0]), left, top)
    left, top = width - _TEXT, height - _SMALL - _GAP
    for axis, position in enumerate(next(iter(rows.values()))):
        panel = Panel(segmentation, full_view(segmentation, axis, position), _SMALL, window)
        page.add(panel, left + axis * (_SMALL + 6), top, line_width=0.9)
        close = close_view(segmentation, box, axis, position)
        page.frame(panel.view, close, left + axis * (_SMALL + 6), top)
    page.axes.text(left, top - 10, "whole scan, slices of the first row", fontsize=9, va="center")
    _write_measures(page.axes, case, left, _TITLE + _FIRST_LINE)
    _draw_legend(page.axes, case, panels, left / width, (height - top + 26) / height)
    page.save(path)


class _Page:
    """Figure with one coordinate system in pixels; one system for each panel would take twice as long to draw."""

    def __init__(self, height: int, width: int, case: ShownCase):
        self._figure = plt.figure(figsize=(width / DPI, height / DPI))
        self._canvas = np.full((height, width, 3), 255, np.uint8)
        self._case = case
        self.axes = self._figure.add_axes((0, 0, 1, 1), xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        self.axes.set_axis_off()

    def add(self, panel: Panel, left: int, top: int, line_width: float) -> None:
        """Add a panel with the contours of each class, in black casings that show on bright tissue, too."""
        picture = panel.picture(self._case.doubt)
        self._canvas[top : top + len(picture), left : left + len(picture)] = (255 * picture).astype(np.uint8)
        for colour, (name, label) in zip(cycle(CLASS_COLOURS), self._case.classes):
            for labels, style in ((panel.prediction, "solid"), (panel.reference, _DASHES)):
                lines = [] if labels is None else _contours(labels == label, left, top)
                if not lines:
                    continue
                if style == "solid":
                    self.axes.add_collection(
                        matplotlib.collections.LineCollection(lines, colors="black", linewidths=line_width + 1.6), False
                    )
                    if len(self._case.classes) > 1 and line_width > 1:
                        self._name_contour(max(lines, key=len), name, colour)
                drawn = matplotlib.collections.LineCollection(
                    lines, colors=colour, linewidths=line_width, linestyles=[style]
                )
                self.axes.add_collection(drawn, False)

    def _name_contour(self, line: np.ndarray, name: str, colour: str) -> None:
        """Write the name of a class beside a contour, since colours may not be told apart in grey."""
        x, y = line[line[:, 0].argmax()]
        style = {"fontsize": 9, "weight": "bold", "path_effects": _CASING, "va": "center"}
        self.axes.text(x + 4, y, name, color=colour, **style)

    def write_directions(self, view: View, left: int, top: int) -> None:
        """Write the letters of the directions at the borders of a panel, and draw a scale bar."""
        style = {"color": "white", "path_effects": _CASING, "va": "center"}
        places = ((0.02, 0.5, "left"), (0.98, 0.5, "right"), (0.5, 0.035, "center"), (0.5, 0.965, "center"))
        for letter, (x, y, side) in zip(view.letters, places):
            self.axes.text(left + x * _PANEL, top + y * _PANEL, letter, ha=side, fontsize=11, weight="bold", **style)
        length = scale_bar_mm(view.side_mm)
        ends = left + 10 + np.array([0, length / view.side_mm * _PANEL])
        for colour, line_width in (("black", 5), ("white", 2.5)):
            self.axes.plot(ends, [top + _PANEL - 15] * 2, color=colour, linewidth=line_width, solid_capstyle="butt")
        self.axes.text(left + 10, top + _PANEL - 28, f"{length:g} mm", fontsize=9, ha="left", **style)

    def circle(self, pixel: tuple[float, float], left: int, top: int) -> None:
        """Draw a circle around a pixel (column, row) of a panel."""
        for colour, line_width in (("black", 4), ("white", 2)):
            centre = (left + pixel[0], top + pixel[1])
            self.axes.add_patch(
                matplotlib.patches.Circle(centre, 17, fill=False, edgecolor=colour, linewidth=line_width)
            )

    def frame(self, whole: View, close: View, left: int, top: int) -> None:
        """Draw into a small panel, of the `whole` slice, what the large one shows."""
        rows, columns = (near - far for near, far in zip(close.centre_mm, whole.centre_mm))
        rows = rows if whole.axis == 0 else -rows
        first = [(whole.side_mm / 2 + middle - close.side_mm / 2) / whole.side_mm for middle in (columns, rows)]
        last = [share + close.side_mm / whole.side_mm for share in first]
        (x, y), (right, bottom) = (np.clip(shares, 0.01, 0.99) * _SMALL for shares in (first, last))
        edge = {"fill": False, "edgecolor": "white", "linewidth": 1}
        self.axes.add_patch(matplotlib.patches.Rectangle((left + x, top + y), right - x, bottom - y, **edge))

    def save(self, path: Path) -> None:
        """Write the page."""
        self.axes.imshow(self._canvas, interpolation="nearest", aspect="auto")
        height, width = self._canvas.shape[:2]
        self.axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        save_figure(self._figure, path, has_palette=True)


def _far_error(case: ShownCase) -> tuple[Slices, float] | None:
    """Return the voxel of the largest Hausdorff distance of a class, and that distance, if it is far."""
    distances = {row["class"]: row.get("hausdorff_mm") or 0.0 for row in case.measures}
    name, label = max(case.classes, key=lambda one: distances.get(one[0], 0.0))
    return farthest_error(case.segmentation, label) if distances.get(name, 0.0) > _FAR_MM else None


def _rows_of(case: ShownCase, far: tuple[Slices, float] | None) -> dict[str, Slices]:
    """Return the slices of each row by what they are; a row that would repeat another is left out."""
    segmentation = case.segmentation
    errors = errors_of(segmentation)
    rows = {}
    if errors is not None:
        rows["most wrong"] = most_wrong_slices(errors)
        if far and not any(one == other for one, other in zip(rows["most wrong"], far[0])):
            rows[f"error {far[1]:.0f} mm away"] = far[0]
    elif case.doubt is not None:
        rows["most doubtful"] = case.doubt.most_doubtful()
    known = segmentation.reference if segmentation.annotated is None else None
    busiest = busiest_slices(known if known is not None and known.any() else segmentation.prediction)
    rows = {what: slices for what, slices in rows.items() if slices is not None}
    return rows if busiest in rows.values() else {**rows, "most foreground": busiest}


def _own_window(image: np.ndarray) -> Range:
    sparse = image[tuple(slice(None, None, max(1, size // _SPARSE)) for size in image.shape)]
    return tuple(float(value) for value in np.percentile(sparse, (1, 99.5)))


def _title(case: ShownCase) -> str:
    notes = [case.run]
    if case.segmentation.reference is None:
        notes.append("no reference")
    elif case.segmentation.annotated is not None:
        notes.append("reference annotated in part")
    title = f"{case.name}   ({', '.join(notes)})"
    return title if len(title) <= _LONGEST_TITLE else f"{title[:_LONGEST_TITLE]}…"


def _contours(mask: np.ndarray, left: int, top: int) -> list[np.ndarray]:
    """Return the contours of a mask as lines (points, 2) of a picture in which the mask begins at (left, top)."""
    if not mask.any():
        return []
    padded = np.pad(mask, 1).astype(np.float32)  # closes contours at the border
    offset = np.array([left - 1, top - 1])
    return [line + offset for line in contour_generator(z=padded).lines(0.5)]


def _write_measures(axes, case: ShownCase, left: int, top: int) -> None:
    """Write Dice and Hausdorff distance of each class and union; without a reference, the volume predicted."""
    has_reference = case.segmentation.reference is not None
    cells = [("class", "Dice", "Hausdorff") if has_reference else ("class", "volume", "")]
    for row in case.measures:
        distance = row.get("hausdorff_mm")
        if has_reference:
            cells.append((row["class"], f"{row['dice']:.3f}", "–" if distance is None else f"{distance:.1f} mm"))
        else:
            cells.append((row["class"], f"{row['volume_ml']:.3g} ml", ""))
    for number, line in enumerate(cells):
        for column, text in enumerate(line):
            style = {"fontsize": 11 if number else 9.5, "color": "black" if number else "#555555"}
            axes.text(left + column * 105, top + number * _LINE, text, va="center", **style)


def _draw_legend(axes, case: ShownCase, panels: Sequence[Panel], left: float, bottom: float) -> None:
    """Draw the legend of lines and areas, with its lower left corner at shares of the picture."""
    grey = {"color": "#444444", "linewidth": 1.7}
    entries = [matplotlib.lines.Line2D([], [], label="prediction", **grey)]
    if case.segmentation.reference is not None:
        entries.append(matplotlib.lines.Line2D([], [], linestyle=_DASHES, label="reference", **grey))
    entries += [
        matplotlib.lines.Line2D([], [], color=colour, linewidth=4, label=f"class {name}")
        for colour, (name, _) in zip(cycle(CLASS_COLOURS), case.classes)
    ]
    for colour, name in legend_of(panels, case.doubt).items():
        hatch = None if colour == FALSE_POSITIVE else "////"
        entries.append(matplotlib.patches.Patch(facecolor=f"{colour}73", edgecolor=colour, hatch=hatch, label=name))
    place = {"loc": "lower left", "bbox_to_anchor": (left, bottom), "borderaxespad": 0}
    axes.legend(handles=entries, frameon=False, fontsize=9.5, borderpad=0, **place)
