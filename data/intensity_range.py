"""Intensities of the training images, and the check of a scan against them."""

from collections.abc import Iterable, Sequence

import numpy as np

from base.intensity_records import IntensityRange, Range
from data.intensities import Scaling, own_scaling

_OF_CASES = (5, 95)  # percentiles over the training cases, so that a few odd ones do not count
_DARKEST_HU = -1024  # lower values stand for voxels outside a scanner's field of view
_LARGEST_SAMPLE = 200_000  # voxels


def intensity_range_of(kind: str, ranges: Sequence[Range], foregrounds: Iterable[np.ndarray]) -> IntensityRange:
    """Summarize the ranges of training images and samples of their foregrounds, all in the unit of `kind`."""
    values = np.array(ranges, float)
    spreads = values[:, 1] - values[:, 0]
    low, high, spread = (_pair(some, _OF_CASES) for some in (values[:, 0], values[:, 1], spreads))
    samples = [sample for sample in foregrounds if sample.size]
    foreground = None
    if samples:
        foreground = tuple(np.percentile(np.concatenate(samples), (0.5, 50, 99.5)).tolist())
    return IntensityRange(kind, low, high, spread, float(np.median(spreads)), foreground)


def range_of(kind: str, image: np.ndarray) -> Range:
    """Return the range of an image (z, y, x) in the unit of `kind`, from 200,000 of its voxels at most."""
    values = image.ravel()
    if values.size > _LARGEST_SAMPLE:
        values = values[np.random.default_rng(0).integers(values.size, size=_LARGEST_SAMPLE)]
    own = own_scaling("zscore", values.astype(np.float32).reshape(1, 1, -1))
    return tuple(in_unit(kind, np.array([own.low, own.high]), own).tolist())


def in_unit(kind: str, values: np.ndarray, own: Scaling) -> np.ndarray:
    """Convert intensities of an image, whose scaling of ``zscore`` is `own`, to the unit of `kind`."""
    if kind == "zscore":
        return (values - own.mean) / own.deviation
    return np.maximum(values, _DARKEST_HU) if kind == "ct" else values


def _pair(values: np.ndarray, percentiles) -> Range:
    return tuple(np.percentile(values, percentiles).tolist())


def intensity_warning(known: Sequence[IntensityRange], image: np.ndarray) -> tuple[str, bool | None]:
    """Compare an image with the training images of networks, whose ranges are `known`.

    Returns:
        the warning of the first range that it misses, empty for none; whether it misses any, None if none is known.
    """
    ranges = {kind: range_of(kind, image) for kind in {one.kind for one in known}}
    said = [warning for one in known if (warning := one.warning(ranges[one.kind]))]
    return (said[0] if said else ""), (bool(said) if known else None)
