"""What intensities a network was trained on, and whether a scan's are such: one that is not in their unit is told.

A range is that of the 0.5 and 99.5 percentiles of an image. It is in the unit of the stored intensities, but for
zscore, which no shift or scale of these changes: there in the image's own deviations around its own mean, so that what
is told apart is the shape of the distribution, such as an inverted contrast.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from data.intensities import Scaling, own_scaling

PERCENTILES = (0.5, 99.5)
_OF_CASES = (5, 95)  # percentiles over the training cases, so that a few odd ones do not count
# Of the training images' median spread, by which ordinary scans may exceed them. That of zscore lets pass what is no
# matter of units: of MR scans of the hippocampus, 1 in 80 lies beyond 0.25.
_MARGINS = {"ct": 0.25, "none": 0.25, "zscore": 0.35}
_NARROWEST, _WIDEST = 0.25, 4.0  # spreads of ordinary scans over the least and the largest of the training images
_DARKEST_HU = -1024  # lower values stand for what lies outside a scanner's field of view
_LARGEST_SAMPLE = 200_000  # voxels

Range = tuple[float, float]


@dataclass(frozen=True)
class IntensityRange:
    """Intensities of the training images.

    Attributes:
        low, high, spread: 5 and 95 percentiles of the ends of the images' ranges, and of the distance between them.
        kind: of the normalization, which tells the unit.
        middle: the median spread.
        foreground: 0.5, 50 and 99.5 percentiles of the foreground of all images; None where there is no reference.
    """

    kind: str
    low: Range
    high: Range
    spread: Range
    middle: float
    foreground: tuple[float, float, float] | None

    @classmethod
    def of(cls, kind: str, ranges: Sequence[Range], foregrounds: Iterable[np.ndarray]) -> "IntensityRange":
        """Put together the ranges of training images and samples of their foregrounds, all in the unit of `kind`."""
        values = np.array(ranges, float)
        spreads = values[:, 1] - values[:, 0]
        low, high, spread = (_pair(some, _OF_CASES) for some in (values[:, 0], values[:, 1], spreads))
        samples = [sample for sample in foregrounds if sample.size]
        foreground = None
        if samples:
            foreground = tuple(np.percentile(np.concatenate(samples), (0.5, 50, 99.5)).tolist())
        return cls(kind, low, high, spread, float(np.median(spreads)), foreground)

    def misses(self, range_: Range) -> bool:
        """Tell whether a scan of this range, in the same unit, is unlike the training images."""
        low, high = range_
        margin = _MARGINS[self.kind] * self.middle
        inside = self.low[0] - margin <= low <= self.low[1] + margin
        inside &= self.high[0] - margin <= high <= self.high[1] + margin
        return not inside or not _NARROWEST * self.spread[0] <= high - low <= _WIDEST * self.spread[1]

    def warning(self, range_: Range) -> str:
        """What is to be said of a scan of this range, without its name; empty where there is nothing to say."""
        if not self.misses(range_):
            return ""
        unit = {"zscore": " of its deviations around its mean", "ct": " (HU, were the training scans)"}
        foreground = ""
        if self.foreground:
            foreground = f", their foreground {_numbers(self.foreground[0], self.foreground[2])}"
        return (
            f"intensities are {_numbers(*range_)}{unit.get(self.kind, '')}, of training scans"
            f" {_numbers(self.low[0], self.high[1])}{foreground}: the network may find nothing; bring the scan to the"
            " unit and contrast of the training scans"
        )

    def to_json(self) -> dict:
        return {
            "percentiles": list(PERCENTILES),
            "kind": self.kind,
            "low": list(self.low),
            "high": list(self.high),
            "spread": list(self.spread),
            "median_spread": self.middle,
            "foreground": self.foreground and list(self.foreground),
        }

    @classmethod
    def from_json(cls, value: dict) -> "IntensityRange":
        low, high, spread = (tuple(value[key]) for key in ("low", "high", "spread"))
        foreground = value["foreground"] and tuple(value["foreground"])
        return cls(value["kind"], low, high, spread, value["median_spread"], foreground)


def range_of(kind: str, image: np.ndarray) -> Range:
    """The range of an image (z, y, x) in the unit of `kind`, of so many voxels at most that it takes no time."""
    values = image.ravel()
    if values.size > _LARGEST_SAMPLE:
        values = values[np.random.default_rng(0).integers(values.size, size=_LARGEST_SAMPLE)]
    own = own_scaling("zscore", values.astype(np.float32).reshape(1, 1, -1))
    return tuple(in_unit(kind, np.array([own.low, own.high]), own).tolist())


def in_unit(kind: str, values: np.ndarray, own: Scaling) -> np.ndarray:
    """Bring intensities of an image, whose scaling of ``zscore`` is `own`, to the unit of `kind`."""
    if kind == "zscore":
        return (values - own.mean) / own.deviation
    return np.maximum(values, _DARKEST_HU) if kind == "ct" else values


def _pair(values: np.ndarray, percentiles) -> Range:
    return tuple(np.percentile(values, percentiles).tolist())


def _numbers(low: float, high: float) -> str:
    return f"{low:.4g} to {high:.4g}"


def intensity_warning(descriptions: Iterable[dict], image: np.ndarray) -> tuple[str, bool | None]:
    """Compare an image with what networks were trained on.

    Args:
        descriptions: of the networks; those of earlier versions do not tell their `intensities`.

    Returns:
        What is to be said, of the first that it misses; whether it misses any, None where none tells.
    """
    known = [
        IntensityRange.from_json(description["intensities"])
        for description in descriptions
        if description.get("intensities")
    ]
    ranges = {kind: range_of(kind, image) for kind in {one.kind for one in known}}
    said = [warning for one in known if (warning := one.warning(ranges[one.kind]))]
    return (said[0] if said else ""), (bool(said) if known else None)
