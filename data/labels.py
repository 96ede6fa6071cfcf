"""Labels: whole numbers, also where a file holds them a rounding error away; and scans that are labels in truth."""

from pathlib import Path

import numpy as np

from base.errors import InputError

LARGEST_LABEL = 254
LABEL_TOLERANCE = 1e-3  # what labels lose where they went through floating point or a scale, and far below 1
_FEW = 3  # values, of which no scan consists
_EVEN = 0.8  # share of neighbours in the foreground that are equal: in scans noise makes it far smaller
_LOOKED_AT = 2**21  # voxels in a row, in the middle


def whole_labels(values: np.ndarray, path: Path) -> np.ndarray:
    """Return the labels in `values` (z, y, x) of the file at `path` as uint8; 0.9999 is 1.

    Raises:
        InputError: a value is farther than `LABEL_TOLERANCE` from a whole number, below 0 or above `LARGEST_LABEL`.
    """
    labels = np.empty(values.shape, np.uint8)
    lowest, highest = np.inf, -np.inf
    for plane, written in zip(values, labels):  # a plane at a time, to spare memory
        whole = plane if plane.dtype.kind in "iu" else np.rint(plane)
        if whole is not plane and np.abs(plane - whole).max() > LABEL_TOLERANCE:
            raise InputError(path, "holds values that are not whole numbers", "give labels, not probabilities")
        lowest, highest = min(lowest, whole.min()), max(highest, whole.max())
        written[...] = np.clip(whole, 0, LARGEST_LABEL)
    if lowest < 0 or highest > LARGEST_LABEL:
        problem = f"holds labels {lowest + 0:g} to {highest + 0:g}"
        raise InputError(path, problem, f"use labels 0 to {LARGEST_LABEL}")
    return labels


def looks_like_labels(values: np.ndarray) -> bool:
    """Tell whether the voxels (z, y, x) hold whole numbers that labels could be, two at least, in even areas."""
    low, high = values.min(), values.max()
    if low < 0 or high > LARGEST_LABEL or low == high:
        return False
    row = values.reshape(-1)
    start = max(0, (row.size - _LOOKED_AT) // 2)
    row = row[start : start + _LOOKED_AT]
    if values.dtype.kind == "f" and (row != np.round(row)).any():
        return False
    if np.count_nonzero(np.bincount(row.astype(np.uint8))) <= _FEW:
        return True
    foreground = row[:-1] > 0
    return bool(np.mean(row[1:][foreground] == row[:-1][foreground]) > _EVEN)
