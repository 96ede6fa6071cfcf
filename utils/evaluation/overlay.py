"""Overlay picture of a case: three planes with the contours of prediction and reference."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np

from base.boxes import bounding_box
from utils.evaluation.case_measures import Segmentation
from utils.runtime.figures import CLASS_COLOURS, plt, save_figure

_PLANES = (("axial", 0), ("coronal", 1), ("sagittal", 2))


def plot_overlay(path: Path, title: str, segmentation: Segmentation, classes: Sequence[tuple[str, int]]) -> None:
    """Plot three planes through the middle of the foreground: prediction as solid lines, reference as dashed lines.

    `classes` are (name, label) of the foreground.
    """
    image, prediction, reference = segmentation.image, segmentation.prediction, segmentation.reference
    spacing_mm = segmentation.spacing_mm
    if segmentation.annotated is not None:
        reference = reference * segmentation.annotated
    shown = reference if reference is not None and reference.any() else prediction
    centre = _position_with_most_foreground(shown)
    sparse = image[tuple(slice(None, None, max(1, size // 64)) for size in image.shape)]
    low, high = np.percentile(sparse, (1, 99.5))
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.4))
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.88, wspace=0.02)
    for axis_plot, (name, axis) in zip(axes, _PLANES):
        position = centre[axis]
        rows, columns = (mm for other, mm in enumerate(spacing_mm) if other != axis)

        def cut(volume, axis=axis, position=position):
            section = volume[(slice(None),) * axis + (position,)]
            return section if axis == 0 else section[::-1]  # head up

        axis_plot.imshow(cut(image), cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=rows / columns)
        for colour, (_, label) in zip(cycle(CLASS_COLOURS), classes):
            for volume, style in ((prediction, "solid"), (reference, "dashed")):
                mask = None if volume is None else cut(volume) == label
                if mask is not None and mask.any() and min(mask.shape) > 1:
                    axis_plot.contour(mask, [0.5], colors=[colour], linestyles=style, linewidths=1)
        axis_plot.set_title(f"{name}, slice {position}", fontsize=9)
        axis_plot.set_axis_off()
    for colour, (name, _) in zip(cycle(CLASS_COLOURS), classes):
        axes[0].plot([], [], color=colour, label=f"class {name}")
    axes[0].legend(loc="lower left", fontsize=7)
    note = "line: prediction, dashed: reference" if reference is not None else "line: prediction"
    figure.suptitle(f"{title} ({note})", fontsize=10)
    save_figure(figure, path)


def _position_with_most_foreground(labels: np.ndarray) -> list[int]:
    """Return the slice with the most foreground along each axis; the middle slice without foreground."""
    box = bounding_box(labels)
    foreground = labels[box] > 0
    if not foreground.size:
        return [size // 2 for size in labels.shape]
    return [
        part.start + int(foreground.sum(axis=tuple(other for other in range(3) if other != axis)).argmax())
        for axis, part in enumerate(box)
    ]
