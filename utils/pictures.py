"""Pictures: a case with its contours, the curves of a training, and runs compared."""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

os.environ["MPLBACKEND"] = "Agg"  # instead of a notebook's, which does not exist here

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from base.atomic_file import write_bytes
from utils.boxes import bounding_box

_COLOURS = ("tab:red", "tab:cyan", "tab:orange", "tab:green", "tab:purple", "tab:pink", "tab:olive")
CLASS_COLOURS = tuple(map(matplotlib.colors.to_hex, _COLOURS))  # of foreground classes in their order, over and over
MOST_MARKED = 30  # points of a curve that are marked one by one: without marks, a single point is not seen
_PLANES = (("axial", 0), ("coronal", 1), ("sagittal", 2))


def draw_overlay(
    path: Path,
    title: str,
    image: np.ndarray,
    prediction: np.ndarray,
    reference: np.ndarray | None,
    spacing_mm: tuple[float, ...],
    classes: Sequence[tuple[str, int]],
) -> None:
    """Draw three planes through the middle of the foreground: prediction as lines, reference dashed.

    Arrays are (z, y, x); `classes` are (name, label) of the foreground.
    """
    shown = reference if reference is not None and reference.any() else prediction
    centre = _busiest_position(shown)
    sparse = image[tuple(slice(None, None, max(1, size // 64)) for size in image.shape)]
    low, high = np.percentile(sparse, (1, 99.5))
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.4))
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.88, wspace=0.02)
    for axis_plot, (name, axis) in zip(axes, _PLANES):
        position = centre[axis]
        rows, columns = (mm for other, mm in enumerate(spacing_mm) if other != axis)

        def cut(volume, axis=axis, position=position):
            section = volume[(slice(None),) * axis + (position,)]
            return section if axis == 0 else section[::-1]  # the head is above

        axis_plot.imshow(cut(image), cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=rows / columns)
        for colour, (_, label) in zip(_COLOURS * 40, classes):
            for volume, style in ((prediction, "solid"), (reference, "dashed")):
                mask = None if volume is None else cut(volume) == label
                if mask is not None and mask.any() and min(mask.shape) > 1:
                    axis_plot.contour(mask, [0.5], colors=[colour], linestyles=style, linewidths=1)
        axis_plot.set_title(f"{name}, slice {position}", fontsize=9)
        axis_plot.set_axis_off()
    for colour, (name, _) in zip(_COLOURS * 40, classes):
        axes[0].plot([], [], color=colour, label=f"class {name}")
    axes[0].legend(loc="lower left", fontsize=7)
    note = "line: prediction, dashed: reference" if reference is not None else "line: prediction"
    figure.suptitle(f"{title} ({note})", fontsize=10)
    _save(figure, path)


def _busiest_position(labels: np.ndarray) -> list[int]:
    """Per axis, the slice with the most foreground; the middle slice without any."""
    box = bounding_box(labels)
    foreground = labels[box] > 0
    if not foreground.size:
        return [size // 2 for size in labels.shape]
    return [
        part.start + int(foreground.sum(axis=tuple(other for other in range(3) if other != axis)).argmax())
        for axis, part in enumerate(box)
    ]


def draw_curves(path: Path, rows: Sequence[Mapping[str, float]], dice_columns: Sequence[str]) -> None:
    """Draw loss and Dice of a training log over its iterations."""
    iterations = [row["iteration"] for row in rows]
    figure, (losses, dices) = plt.subplots(1, 2, figsize=(10, 4), constrained_layout=True)
    marker = "." if len(rows) <= MOST_MARKED else None
    for column in ("train_loss", "val_loss"):
        losses.plot(iterations, [_number(row.get(column)) for row in rows], label=column, marker=marker)
    for column in dice_columns:
        dices.plot(iterations, [_number(row.get(column)) for row in rows], label=column, marker=marker)
    losses.set(xlabel="iteration", ylabel="loss")
    dices.set(xlabel="iteration", ylabel="Dice on validation patches", ylim=(0, 1))
    for axis in (losses, dices):
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8)
    _save(figure, path)


def draw_comparison(
    path: Path,
    names: Sequence[str],
    dices: Mapping[str, np.ndarray],
    limits: Mapping[tuple[str, str], tuple[float | None, float | None]],
    margin: float,
) -> None:
    """Draw the Dice of runs as boxes, and beside them what the first has more than each other in every patient.

    Args:
        names: of the runs.
        dices: by class, float (runs, patients).
        limits: of the interval of the mean difference, by class and name of the other run; None for none.
        margin: of non-inferiority, in Dice.
    """
    height = 0.9 + 0.45 * len(names)
    figure, axes = plt.subplots(
        len(dices), 2, figsize=(11, height * len(dices)), squeeze=False, sharex="col", constrained_layout=True
    )
    for (boxes, points), (region, values) in zip(axes, dices.items()):
        boxes.boxplot(values.T, orientation="horizontal", tick_labels=names, widths=0.6)
        boxes.set(ylabel=f"class {region}" if region.isdecimal() else region)
        points.axvline(0, color="black", linewidth=0.8)
        points.axvline(-margin, color="tab:red", linestyle="dashed", linewidth=0.8)
        for place, (name, other) in enumerate(zip(names[1:], values[1:]), start=2):
            differences = values[0] - other
            spread = np.linspace(-0.3, 0.3, len(differences))
            points.plot(differences, place + spread, ".", color="tab:blue", markersize=4, alpha=0.6)
            low, high = map(_number, limits[region, name])
            points.plot([low, high], [place, place], color="black", linewidth=2)
            points.plot(differences.mean(), place, "D", color="black", markersize=5)
        points.set(ylim=boxes.get_ylim(), yticks=[])
        for axis in (boxes, points):
            axis.invert_yaxis()
    axes[-1][0].set(xlabel="Dice of each patient")
    axes[-1][1].set(xlabel="difference of each patient; mean and its 95% interval")
    figure.suptitle(f"right: {names[0]} less each other run; dashed: {margin:g} below it, the margin", fontsize=10)
    _save(figure, path)


def _number(value) -> float:
    return float("nan") if value is None else value


def _save(figure, path: Path) -> None:
    memory = io.BytesIO()
    figure.savefig(memory, format="png", dpi=100, pil_kwargs={"compress_level": 1})
    plt.close(figure)
    write_bytes(path, memory.getbuffer())


def label_picture(image: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Colour picture uint8 (3, rows, columns) of a grey float slice with its class indices laid over it."""
    grey = np.clip((image - image.min()) / max(float(np.ptp(image)), 1e-6), 0, 1)
    picture = np.repeat(grey[None], 3, axis=0)
    for index in range(1, int(classes.max()) + 1):
        colour = np.array(matplotlib.colors.to_rgb(_COLOURS[(index - 1) % len(_COLOURS)]))
        mask = classes == index
        picture[:, mask] = 0.6 * picture[:, mask] + 0.4 * colour[:, None]
    return (255 * picture).astype(np.uint8)
