"""Pictures of a study."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from utils.comparison.paired_tests import mean_interval
from utils.runtime.figures import plt, save_figure


def plot_means(path: Path, dices: Mapping[str, np.ndarray], single: str) -> None:
    """Plot the mean Dice of groups of runs with 95% intervals, one below the other.

    Args:
        dices: mean over the classes, float (cases,), by group.
        single: the group whose mean is plotted as a vertical line.
    """
    figure, axis = plt.subplots(figsize=(9, 0.8 + 0.32 * len(dices)), constrained_layout=True)
    for place, values in enumerate(dices.values()):
        low, high = mean_interval(values)
        if low is not None and high is not None:
            axis.plot([low, high], [place, place], color="tab:blue", linewidth=2)
        axis.plot(values.mean(), place, "o", color="tab:blue")
    if single in dices:
        axis.axvline(dices[single].mean(), color="black", linewidth=0.8, linestyle="dashed")
    axis.set_yticks(range(len(dices)), list(dices))
    axis.invert_yaxis()
    axis.set(xlabel=f"mean Dice and its 95% interval over {len(next(iter(dices.values())))} test cases")
    save_figure(figure, path)
