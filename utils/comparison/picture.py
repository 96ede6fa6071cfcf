"""Picture of a comparison: Dice of the runs, and paired differences of patients."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.runtime.figures import plt, save_figure


def plot_comparison(
    path: Path,
    names: Sequence[str],
    dices: Mapping[str, np.ndarray],
    limits: Mapping[tuple[str, str], tuple[float | None, float | None]],
    margin: float,
) -> None:
    """Plot the Dice of runs as boxes, and beside them each patient's difference of the first run to each other run.

    Args:
        names: of the runs.
        dices: by class, float (runs, patients).
        limits: of the confidence interval of the mean difference, by class and name of the other run; None for a limit
            that does not exist.
        margin: non-inferiority margin, in Dice.
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
    save_figure(figure, path)


def _number(value) -> float:
    return float("nan") if value is None else value
