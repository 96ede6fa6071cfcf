"""Training curves: loss and Dice over the iterations."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from utils.runtime.figures import plt, save_figure

MOST_MARKED = 30  # longest curve whose points have markers; without a marker, a single point is invisible


def plot_curves(path: Path, rows: Sequence[Mapping[str, float]], dice_columns: Sequence[str]) -> None:
    """Plot loss and Dice of a training log over its iterations."""
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
    save_figure(figure, path)


def _number(value) -> float:
    return float("nan") if value is None else value
