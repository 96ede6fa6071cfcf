"""Conversion of stored values to integer labels, and recognition of label maps among scans."""

from pathlib import Path

import numpy as np

from base.errors import InputError
from base.label_classes import IGNORED

LARGEST_LABEL = 254
LABEL_TOLERANCE = 1e-3  # allows for rounding by floating-point types or a scale factor, and is far below 1
_FEW_VALUES = 3  # an image with no more distinct values is not a scan
_UNIFORM = 0.8  # fraction of foreground voxels with an equal neighbour; noise makes it much smaller in scans
_CHECKED_VOXELS = 2**21  # consecutive voxels in the middle of the volume


def whole_labels(values: np.ndarray, path: Path, ignore_label: int | None = None) -> np.ndarray:
    """Return the labels in `values` (z, y, x) of the file at `path` as uint8; for example, 0.9999 becomes 1.

    Args:
        ignore_label: label of voxels that are not annotated, which become `IGNORED`; None if all are.

    Raises:
        InputError: a value differs by more than `LABEL_TOLERANCE` from an integer, is below 0 or above `LARGEST_LABEL`.
    """
    labels = np.empty(values.shape, np.uint8)
    largest = max(LARGEST_LABEL, ignore_label or 0)
    lowest, highest = np.inf, -np.inf
    for plane, plane_labels in zip(values, labels):  # one plane at a time, to save memory
        rounded = plane if plane.dtype.kind in "iu" else np.rint(plane)
        if rounded is not plane and np.abs(plane - rounded).max() > LABEL_TOLERANCE:
            raise InputError(path, "holds values that are not whole numbers", "give labels, not probabilities")
        lowest, highest = min(lowest, rounded.min()), max(highest, rounded.max())
        plane_labels[...] = np.clip(rounded, 0, largest)
    if lowest < 0 or highest > largest:
        problem = f"holds labels {lowest + 0:g} to {highest + 0:g}"
        raise InputError(path, problem, f"use labels 0 to {LARGEST_LABEL}")
    if ignore_label is not None:
        labels[labels == ignore_label] = IGNORED
    return labels


def looks_like_labels(values: np.ndarray) -> bool:
    """Return whether the voxels (z, y, x) look like a label map: at least two small integers in uniform areas."""
    low, high = values.min(), values.max()
    if low < 0 or high > LARGEST_LABEL or low == high:
        return False
    sample = values.reshape(-1)
    start = max(0, (sample.size - _CHECKED_VOXELS) // 2)
    sample = sample[start : start + _CHECKED_VOXELS]
    if values.dtype.kind == "f" and (sample != np.round(sample)).any():
        return False
    if np.count_nonzero(np.bincount(sample.astype(np.uint8))) <= _FEW_VALUES:
        return True
    foreground = sample[:-1] > 0
    return bool(np.mean(sample[1:][foreground] == sample[:-1][foreground]) > _UNIFORM)
