"""Normalization of intensities: decided once in training, stored with the weights, applied from there."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from base.errors import InputError
from base.intensity_records import PERCENTILES, Normalization, Range
from base.label_classes import IGNORED

_AIR_HU = -200  # images of most other kinds have no voxel below this; every CT that shows air has
_VOXELS_PER_CASE = 20_000  # enough for percentiles within a fraction of their spread
_CASES_IN_FULL = 50  # of twice as many, every other voxel is taken
_SOFT_TISSUE_HU = (-160.0, 240.0)  # level 40, width 400
_WINDOW_SIDE = 64  # voxels of each side of an image that determine the window of its picture


class Scaling(NamedTuple):
    """Scaling of the intensities of one image: clipped to `low` and `high`, minus `mean`, over `deviation`."""

    low: float
    high: float
    mean: float
    deviation: float

    @property
    def padding_value(self) -> float:
        """Normalized value of voxels beyond the image: air, or its darkest; exactly as `apply` gives it."""
        return float(self.apply(np.float32([self.low]))[0])

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return `image` normalized, float32."""
        scaled = image.astype(np.float32)
        scale(scaled, *map(np.float32, self))
        return scaled


def scale(image: np.ndarray, low, high, mean, deviation) -> None:
    """Clip a float32 `image` to `low` and `high`, subtract `mean` and divide by `deviation`, in place.

    The bounds are float32: numbers, or arrays that are broadcast over a batch of images.
    """
    np.maximum(image, low, out=image)
    np.minimum(image, high, out=image)
    image -= mean
    image /= deviation


def own_scaling(kind: str, image: np.ndarray) -> Scaling:
    """Return the scaling of ``zscore`` or ``none`` that follows from `image`, float32 (z, y, x), itself."""
    if kind == "none":
        return Scaling(float(image.min()), float(image.max()), 0.0, 1.0)
    low, high = (float(value) for value in np.percentile(image, PERCENTILES))
    # Slice by slice, for the sake of memory.
    mean = sum(float(np.clip(part, low, high).sum(dtype=np.float64)) for part in image) / image.size
    squares = sum(float(np.square(np.clip(part, low, high) - mean, dtype=np.float64).sum()) for part in image)
    return Scaling(low, high, mean, (squares / image.size) ** 0.5 or 1.0)


def scaling_of(normalization: Normalization, own: Callable[[str], Scaling]) -> Scaling:
    """Return the scaling of an image; `own` gives the image's own scaling for ``zscore`` or ``none``."""
    if normalization.kind == "ct":
        return Scaling(*normalization.window, normalization.mean, normalization.deviation)
    return own(normalization.kind)


def normalize(images: Sequence[np.ndarray], normalizations: Sequence[Normalization]) -> tuple[np.ndarray, np.ndarray]:
    """Normalize each channel of a scan by itself.

    Args:
        images: float32 (z, y, x), of each channel.

    Returns:
        float32 (channels, z, y, x), and the padding value of each channel, float32: air, or the image's darkest.
    """
    normalized = np.empty((len(images), *images[0].shape), np.float32)
    padding_values = []
    for target, image, normalization in zip(normalized, images, normalizations):
        scaling = scaling_of(normalization, lambda kind, image=image: own_scaling(kind, image))
        target[:] = image
        scale(target, *map(np.float32, scaling))
        padding_values.append(scaling.padding_value)
    return normalized, np.float32(padding_values)


def shown_window(normalization: Normalization, image: np.ndarray) -> Range:
    """Return the intensities of `image`, (z, y, x), that a picture shows in black and white.

    Of a CT, these are the soft-tissue window, widened where the network has a wider one; otherwise the percentiles
    that the normalization of most networks clips to.
    """
    if normalization.kind == "ct":
        return min(_SOFT_TISSUE_HU[0], normalization.window[0]), max(_SOFT_TISSUE_HU[1], normalization.window[1])
    sparse = image[tuple(slice(None, None, max(1, size // _WINDOW_SIDE)) for size in image.shape)]
    return tuple(float(value) for value in np.percentile(sparse, PERCENTILES))


def foreground_sample(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return intensities (n,) of at least 20,000 evenly spread foreground voxels; all where there are fewer."""
    foreground = image[(reference > 0) & (reference != IGNORED)]
    return foreground[:: max(1, foreground.size // _VOXELS_PER_CASE)]


def shows_air(lowest: float) -> bool:
    """Return whether an image whose lowest intensity is `lowest` shows air in Hounsfield units."""
    return lowest < _AIR_HU


def decide_normalization(kind: str, lowest: Sequence[float], samples: Iterable[np.ndarray]) -> Normalization:
    """Decide the normalization of `kind` (auto, ct, zscore or none) from the training images.

    auto is ct where most images hold air in Hounsfield units, and zscore elsewhere.

    Args:
        lowest: the lowest intensity of each image.
        samples: the `foreground_sample` of each image with a reference; read for ct only.

    Raises:
        InputError: it is to be ct, and no image has a reference that shows foreground.
    """
    if kind in ("zscore", "none"):
        return Normalization(kind)
    if kind == "auto" and 2 * sum(map(shows_air, lowest)) <= len(lowest):
        return Normalization("zscore")
    step = -(-len(lowest) // _CASES_IN_FULL)
    parts = [sample[::step].astype(np.float32) for sample in samples]
    if not any(part.size for part in parts):
        problem = "ct is decided by the foreground of references, and no training case shows any"
        raise InputError("--normalization", problem, "give zscore or none")
    foreground = np.concatenate(parts)
    window = tuple(float(value) for value in np.percentile(foreground, PERCENTILES))
    clipped = np.clip(foreground, *window)
    return Normalization("ct", window, float(clipped.mean()), float(clipped.std()) or 1.0)
