"""Figures: matplotlib without a display, class colours, atomic PNG writes. All modules take matplotlib from here."""

import io
import os
import warnings
from pathlib import Path

os.environ["MPLBACKEND"] = "Agg"  # a notebook's MPLBACKEND may name a backend that is not installed here

import matplotlib.collections
import matplotlib.colors
import matplotlib.lines
import matplotlib.patches
import matplotlib.patheffects
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image  # which matplotlib needs itself

from base.atomic_file import write_bytes
from base.label_classes import IGNORED

plt.rcParams["text.parse_math"] = False  # names may contain dollar signs

# Of the foreground classes, in order, cyclic: told apart by colour-blind eyes, and most of them in grey (Okabe and Ito,
# Color universal design, 2008).
CLASS_COLOURS = ("#d55e00", "#56b4e9", "#009e73", "#cc79a7", "#0072b2", "#e69f00", "#8a8a8a")
DPI = 100


def save_figure(figure, path: Path, has_palette: bool = False) -> None:
    """Write a figure as PNG atomically, and close it.

    Args:
        has_palette: whether to reduce it to 256 colours, which takes a third of the space.
    """
    memory = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the font lacks letters of a name: they become boxes
        if has_palette:
            figure.set_dpi(DPI)
            figure.canvas.draw()
            pixels = np.ascontiguousarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
            palette = Image.fromarray(pixels).quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
            palette.save(memory, "png")
        else:
            figure.savefig(memory, format="png", dpi=DPI, pil_kwargs={"compress_level": 1})
    plt.close(figure)
    write_bytes(path, memory.getbuffer())


def label_picture(image: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return a grey float slice with its class indices as colour overlay, uint8 (3, rows, columns).

    `IGNORED` is not coloured.
    """
    grey = np.clip((image - image.min()) / max(float(np.ptp(image)), 1e-6), 0, 1)
    picture = np.repeat(grey[None], 3, axis=0)
    for index in np.setdiff1d(classes, [0, IGNORED]).tolist():
        colour = np.array(matplotlib.colors.to_rgb(CLASS_COLOURS[(index - 1) % len(CLASS_COLOURS)]))
        mask = classes == index
        picture[:, mask] = 0.6 * picture[:, mask] + 0.4 * colour[:, None]
    return (255 * picture).astype(np.uint8)
