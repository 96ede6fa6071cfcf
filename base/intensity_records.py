"""Records of intensities that weights store: the normalization, and the intensities of the training images."""

from dataclasses import asdict, dataclass

PERCENTILES = (0.5, 99.5)  # that bound the intensities of an image
# Tolerated excess over the training images, as a share of their median spread. That of zscore lets pass what is no
# matter of units: of MR scans of the hippocampus, 1 in 80 lies beyond 0.25.
_MARGINS = {"ct": 0.25, "none": 0.25, "zscore": 0.35}
_NARROWEST, _WIDEST = 0.25, 4.0  # spreads of ordinary scans over the least and the largest of the training images

Range = tuple[float, float]


@dataclass(frozen=True)
class Normalization:
    """Normalization of intensities to network inputs.

    ct: clipped to `window`, minus `mean`, over `deviation`, all in HU and from the foreground of the training cases
    (Isensee et al., nnU-Net, Nature Methods 2021). zscore: each image clipped to its 0.5 and 99.5 percentiles, then
    standardized by its own mean and standard deviation. none: as stored.
    """

    kind: str
    window: Range = (0.0, 0.0)
    mean: float = 0.0
    deviation: float = 1.0

    def to_json(self) -> dict:
        """Return the normalization as plain values."""
        return {**asdict(self), "window": list(self.window)}

    @classmethod
    def from_json(cls, value: dict) -> "Normalization":
        """Read what `to_json` gives."""
        return cls(**{**value, "window": tuple(value["window"])})


@dataclass(frozen=True)
class IntensityRange:
    """Intensities of the training images.

    A range is that of the 0.5 and 99.5 percentiles of an image. Its unit is that of the stored intensities; for zscore,
    which removes shift and scale, the image's own standard deviations around its own mean: there the shape of the
    distribution is compared, such as an inverted contrast.

    Attributes:
        kind: of the normalization, which determines the unit.
        low, high, spread: 5th and 95th percentiles, over the images, of the ends of their ranges and of the width.
        median_spread: median width of the ranges.
        foreground: 0.5, 50 and 99.5 percentiles of the foreground of all images; None without references.
    """

    kind: str
    low: Range
    high: Range
    spread: Range
    median_spread: float
    foreground: tuple[float, float, float] | None

    def misses(self, range_: Range) -> bool:
        """Tell whether a scan of this range, in the same unit, is unlike the training images."""
        low, high = range_
        margin = _MARGINS[self.kind] * self.median_spread
        inside = self.low[0] - margin <= low <= self.low[1] + margin
        inside &= self.high[0] - margin <= high <= self.high[1] + margin
        return not inside or not _NARROWEST * self.spread[0] <= high - low <= _WIDEST * self.spread[1]

    def warning(self, range_: Range) -> str:
        """Return the warning for a scan of this range, without the scan's name; empty for an ordinary scan."""
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
        """Return the range as plain values."""
        return {
            "percentiles": list(PERCENTILES),
            "kind": self.kind,
            "low": list(self.low),
            "high": list(self.high),
            "spread": list(self.spread),
            "median_spread": self.median_spread,
            "foreground": self.foreground and list(self.foreground),
        }

    @classmethod
    def from_json(cls, value: dict) -> "IntensityRange":
        """Read what `to_json` gives."""
        low, high, spread = (tuple(value[key]) for key in ("low", "high", "spread"))
        foreground = value["foreground"] and tuple(value["foreground"])
        return cls(value["kind"], low, high, spread, value["median_spread"], foreground)


def _numbers(low: float, high: float) -> str:
    return f"{low:.4g} to {high:.4g}"
