"""Figures: matplotlib without a display, class colours, atomic PNG writes."""

import io
import os
from pathlib import Path

os.environ["MPLBACKEND"] = "Agg"  # a notebook's MPLBACKEND may name a backend that is not installed here

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from base.atomic_file import write_bytes
from base.label_classes import IGNORED

_COLOURS = ("tab:red", "tab:cyan", "tab:orange", "tab:green", "tab:purple", "tab:pink", "tab:olive")
CLASS_COLOURS = tuple(map(matplotlib.colors.to_hex, _COLOURS))  # of the foreground classes, in order, cyclic


def save_figure(figure, path: Path) -> None:
    """Write a figure as PNG atomically, and close it."""
    memory = io.BytesIO()
    figure.savefig(memory, format="png", dpi=100, pil_kwargs={"compress_level": 1})
    plt.close(figure)
    write_bytes(path, memory.getbuffer())


def label_picture(image: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return a grey float slice with its class indices as colour overlay, uint8 (3, rows, columns).

    `IGNORED` is not coloured.
    """
    grey = np.clip((image - image.min()) / max(float(np.ptp(image)), 1e-6), 0, 1)
    picture = np.repeat(grey[None], 3, axis=0)
    for index in np.setdiff1d(classes, [0, IGNORED]).tolist():
        colour = np.array(matplotlib.colors.to_rgb(_COLOURS[(index - 1) % len(_COLOURS)]))
        mask = classes == index
        picture[:, mask] = 0.6 * picture[:, mask] + 0.4 * colour[:, None]
    return (255 * picture).astype(np.uint8)
