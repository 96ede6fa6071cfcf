"""Picture of a data set: distributions of voxels, fields of view, intensities and structures."""

from pathlib import Path

import numpy as np

from stages.planning.data_set import DataSet
from utils.runtime.figures import CLASS_COLOURS, plt, save_figure

_AXES = (("x", 2), ("y", 1), ("z", 0))
_JITTER = 0.12
_WIDE = 20  # ratio of largest and smallest value beyond which an axis is logarithmic


def plot_data_set(path: Path, data_set: DataSet) -> None:
    """Plot six distributions; a point is a case, a line the median."""
    figure, axes = plt.subplots(2, 3, figsize=(13, 7.5), constrained_layout=True)
    colours = [CLASS_COLOURS[number % len(CLASS_COLOURS)] for number in range(len(data_set.classes))]
    names = [f"{one.label}" for one in data_set.classes]
    _points(axes[0, 0], [data_set.spacings_mm[:, axis] for _, axis in _AXES], [name for name, _ in _AXES])
    axes[0, 0].set(title="voxel size", ylabel="mm", ylim=(0, None))
    _points(axes[0, 1], [data_set.sides_mm[:, axis] for _, axis in _AXES], [name for name, _ in _AXES])
    axes[0, 1].set(title="field of view", ylabel="mm", ylim=(0, None))
    _plot_intensities(axes[0, 2], data_set)
    _points(axes[1, 0], [one.volumes_ml for one in data_set.classes], names, colours)
    axes[1, 0].set(title="volume", xlabel="label", ylabel="ml")
    _points(axes[1, 1], [one.boxes_mm.max(axis=1) for one in data_set.classes], names, colours)
    axes[1, 1].set(title="extent of the largest component", xlabel="label", ylabel="mm", ylim=(0, None))
    _points(axes[1, 2], [one.components for one in data_set.classes], names, colours)
    axes[1, 2].set(title="connected components", xlabel="label")
    for axis, name in ((axes[1, 0], "volumes_ml"), (axes[1, 2], "components")):
        _scale(axis, np.concatenate([getattr(one, name) for one in data_set.classes]))
    figure.suptitle(f"{len(data_set.cases)} cases, {len(data_set.annotated)} with a reference; each point is a case")
    save_figure(figure, path)


def _points(axis, groups: list[np.ndarray], names: list[str], colours: list[str] | None = None) -> None:
    rng = np.random.default_rng(0)
    for place, values in enumerate(groups):
        colour = colours[place] if colours else "tab:blue"
        axis.plot(place + rng.uniform(-_JITTER, _JITTER, len(values)), values, ".", color=colour, alpha=0.5)
        axis.hlines(np.median(values), place - 0.3, place + 0.3, color="black", linewidth=1.2)
    axis.set_xticks(range(len(names)), names)
    axis.set_xlim(-0.6, len(names) - 0.4)


def _scale(axis, values: np.ndarray) -> None:
    """Set a logarithmic axis for values, all above 0, that differ much; else one from 0."""
    if values.max() > _WIDE * values.min():
        axis.set_yscale("log")
    else:
        axis.set_ylim(0, 1.1 * values.max())


def _plot_intensities(axis, data_set: DataSet) -> None:
    """Plot the range of intensities of each case, from the 0.5 to the 99.5 percentile, ordered by the upper end."""
    for channel in data_set.channels:
        facts = sorted((case.channels[channel] for case in data_set.cases), key=lambda one: one.high)
        numbers = range(len(facts))
        low, middle, high = ([getattr(one, name) for one in facts] for name in ("low", "median", "high"))
        bars = axis.fill_between(numbers, low, high, alpha=0.35, linewidth=0, step="mid", label=channel or None)
        axis.plot(numbers, middle, color=bars.get_facecolor()[0][:3], linewidth=1)
    widths = np.array([[one.high - one.low for one in case.channels.values()] for case in data_set.cases])
    if widths.max() > _WIDE * np.median(widths) > 0:
        axis.set_yscale("symlog", linthresh=np.median(widths) / 10)
    axis.set(title="intensities: 0.5, 50 and 99.5 percentiles", xlabel="cases, ordered", xticks=[])
    if len(data_set.channels) > 1:
        axis.legend()
