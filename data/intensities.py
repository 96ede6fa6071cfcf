"""Normalization of intensities: decided once in training, stored with the weights, applied from there."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from data.cases import Case

KINDS = ("auto", "ct", "zscore", "none")

_AIR_HU = -200  # images of most other kinds have no voxel below this; every CT that shows air has
_VOXELS_PER_CASE = 20_000  # enough for percentiles within a fraction of their spread
_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class Normalization:
    """How intensities become network inputs.

    ct: clipped to `window`, minus `mean`, over `deviation`, all in HU and from the foreground of the training cases
    (Isensee et al., nnU-Net, Nature Methods 2021). zscore: each image clipped to its 0.5 and 99.5 percentiles, then
    standardized by its own mean and deviation. none: as stored.
    """

    kind: str
    window: tuple[float, float] = (0.0, 0.0)
    mean: float = 0.0
    deviation: float = 1.0

    def apply(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        """Normalize float32 `image` (z, y, x); also give the value of what lies outside it: air, or its darkest."""
        if self.kind == "ct":
            low, high, mean, deviation = *self.window, self.mean, self.deviation
        elif self.kind == "zscore":
            low, high = np.percentile(image, _PERCENTILES)
            clipped = np.clip(image, low, high)
            mean, deviation = float(clipped.mean(dtype=np.float64)), float(clipped.std(dtype=np.float64)) or 1.0
        else:
            low, high, mean, deviation = float(image.min()), float(image.max()), 0.0, 1.0
        low, mean, deviation = (np.float32(value) for value in (low, mean, deviation))
        normalized = (np.clip(image, low, np.float32(high)) - mean) / deviation
        return normalized, float((low - mean) / deviation)  # exactly the value that air has in `normalized`

    def to_json(self) -> dict:
        return {**asdict(self), "window": list(self.window)}

    @classmethod
    def from_json(cls, value: dict) -> "Normalization":
        return cls(**{**value, "window": tuple(value["window"])})


def decide_normalization(kind: str, cases: Sequence[Case]) -> Normalization:
    """Settle the normalization of `kind` (one of `KINDS`) on the training `cases`.

    auto is ct where most images hold air in Hounsfield units, and zscore elsewhere.
    """
    if kind in ("zscore", "none"):
        return Normalization(kind)
    with_air, samples = 0, []
    for case in cases:
        image = case.resampled_image()
        with_air += image.min() < _AIR_HU
        if case.has_reference:
            foreground = image[case.resampled_reference() > 0]
            samples.append(foreground[:: max(1, foreground.size // _VOXELS_PER_CASE)])
    if kind == "auto" and 2 * with_air <= len(cases):
        return Normalization("zscore")
    foreground = np.concatenate(samples)
    window = tuple(float(value) for value in np.percentile(foreground, _PERCENTILES))
    clipped = np.clip(foreground, *window)
    return Normalization("ct", window, float(clipped.mean()), float(clipped.std()) or 1.0)
