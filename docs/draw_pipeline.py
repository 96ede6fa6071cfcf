#!/usr/bin/env python3
"""Draw docs/pipeline.png: from cases over members and soft labels to a student and its predictions.

python -m docs.draw_pipeline
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image  # which matplotlib needs itself

PICTURE = Path(__file__).with_name("pipeline.png")
WIDTH, HEIGHT = 1.55, 0.86  # of a box
STEP = 2.35  # from box to box
INK, ARROW = "#1f2933", "#7b8794"

# Column, row (0: centre), name, explanation, colour.
BOXES = (
    (0, 0, "cases", "scans and references,\none voxel size", "#e4e7eb"),
    (1, 1, "member 1", "UNet3D, seed 1", "#cfe3f7"),
    (1, 0, "member 2", "dil2D, seed 2", "#cfe3f7"),
    (1, -1, "member n", "ResNet2D, seed n", "#cfe3f7"),
    (2, 0, "soft labels", "mean and deviation\nof probabilities", "#fbe3b9"),
    (3, 0, "student", "one small network", "#cdeccf"),
    (4, 0, "predictions", "labels on the scan's\ngrid, metrics", "#e4e7eb"),
)
# From and to (column, row); the script is written below the boxes.
ARROWS = [((0, 0), (1, row)) for row in (1, 0, -1)] + [((1, row), (2, 0)) for row in (1, 0, -1)]
ARROWS += [((2, 0), (3, 0)), ((3, 0), (4, 0))]
SCRIPTS = (
    (0, "resample_data.py"),
    (1, "training_network.py"),
    (2, "ensemble.py"),
    (3, "training_network.py --soft"),
    (4, "testing_network.py"),
)


def draw() -> plt.Figure:
    """Return the figure."""
    figure = plt.figure(figsize=(10.6, 3.5))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-1.1, 4 * STEP + 1.1)
    axes.set_ylim(-2.25, 1.7)
    axes.axis("off")
    for (from_column, from_row), (to_column, to_row) in ARROWS:
        start = (from_column * STEP + WIDTH / 2 + 0.06, from_row * 1.12)
        end = (to_column * STEP - WIDTH / 2 - 0.06, to_row * 1.12)
        axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=13, color=ARROW, linewidth=1.4))
    # The references reach the student, too: below the members and the soft labels.
    x, y, low = 3 * STEP, -HEIGHT / 2 - 0.04, -1.75
    axes.plot([0, 0, x, x], [y, low, low, y - 0.12], color=ARROW, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.add_patch(FancyArrowPatch((x, y - 0.2), (x, y), arrowstyle="-|>", mutation_scale=13, color=ARROW, linewidth=0))
    axes.text(2 * STEP, low + 0.06, "references, weighted by alpha", ha="center", va="bottom", fontsize=8, color=INK)
    for column, row, name, explanation, colour in BOXES:
        x, y = column * STEP, row * 1.12
        corner = (x - WIDTH / 2, y - HEIGHT / 2)
        box = FancyBboxPatch(corner, WIDTH, HEIGHT, boxstyle="round,pad=0,rounding_size=0.1", facecolor=colour)
        box.set_edgecolor(ARROW)
        axes.add_patch(box)
        axes.text(x, y + 0.2, name, ha="center", va="center", fontsize=11.5, weight="bold", color=INK)
        axes.text(x, y - 0.13, explanation, ha="center", va="center", fontsize=8, color=INK)
    for column, script in SCRIPTS:
        axes.text(column * STEP, -2.12, script, ha="center", va="bottom", fontsize=8, family="monospace", color=INK)
    return figure


if __name__ == "__main__":
    draw().savefig(PICTURE, dpi=100, facecolor="white")
    with Image.open(PICTURE) as picture:
        few_colours = picture.convert("RGB").quantize(32)
    few_colours.save(PICTURE, optimize=True)
    print(f"wrote {PICTURE}")
