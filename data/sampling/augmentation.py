"""Augmentation: parameters are sampled once per patch and applied to its image, reference and soft labels alike.

Patches have two axes (slices) or three (boxes); all functions support both and process whole batches.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage


@dataclass(frozen=True)
class Strength:
    """Strength of the augmentation.

    Attributes:
        rotation_degrees, largest_rotation: standard deviation and bound of the angle; rotations are about the plane's
            normal for slices and about a random axis for boxes.
        zoom, largest_zoom: standard deviation and bound of the logarithm of the zoom factor.
        intensity: standard deviation of the shift and of the relative scale, in normalized intensities.
        gamma: standard deviation of the logarithm of the exponent.
        noise, blur_voxels: largest standard deviation of the noise (normalized intensities) and of the Gaussian blur.
        seldom: fraction of patches with noise, and fraction of patches with blur.
    """

    rotation_degrees: float
    largest_rotation: float
    zoom: float
    largest_zoom: float
    intensity: float
    gamma: float = 0.0
    noise: float = 0.0
    blur_voxels: float = 0.0
    seldom: float = 0.0


STRENGTHS = {
    "light": Strength(10, 25, 0.05, 0.1, 0.1),
    "strong": Strength(15, 40, 0.1, 0.25, 0.2, gamma=0.2, noise=0.3, blur_voxels=1.0, seldom=0.3),
}
_BLUR_RADIUS = 3  # voxels: three standard deviations of the strongest blur


@dataclass(frozen=True)
class SampledAugmentation:
    """Parameters sampled for a batch of n patches with d axes and c channels: one geometry, and intensities of each.

    Attributes:
        matrices: float32 (n, d, d); maps an offset from the centre of the result (voxels, in the order of the axes) to
            the offset from the centre of the patch at which the value is sampled.
        scales, shifts, gammas: float32 (n, c); intensities become ``image ** gamma * scale + shift``, with the power
            applied after scaling the patch from its minimum and maximum to 0 and 1.
        noises: float32 (n, c), standard deviations; `noise_seeds`, int (n, c), are the seeds of the noise.
        blurs: float32 (n, c), standard deviations in voxels.
    """

    matrices: np.ndarray
    scales: np.ndarray
    shifts: np.ndarray
    gammas: np.ndarray
    noises: np.ndarray
    blurs: np.ndarray
    noise_seeds: np.ndarray

    def part(self, which: slice) -> "SampledAugmentation":
        """Return the parameters of some of the patches."""
        return SampledAugmentation(**{name: values[which] for name, values in vars(self).items()})

    @property
    def enlargement(self) -> np.ndarray:
        """Fraction by which patches must grow along each axis so that all sampled positions are inside, (d,).

        A rotation of thick slices reaches many thin voxels further within them, but hardly a slice further across.
        """
        return np.maximum(0, np.abs(self.matrices).sum(axis=2).max(axis=0) - 1)


def sample_augmentation(
    strength: Strength, rng: np.random.Generator, spacings_mm: np.ndarray, flip: bool = False, channels: int = 1
) -> SampledAugmentation:
    """Sample the parameters of a transform for each patch.

    Args:
        spacings_mm: float (n, d), along the axes of the patches; rotations are rigid in mm, not in voxels.
        flip: mirror each axis with probability 1/2.
        channels: of the images.
    """
    n, d = spacings_mm.shape
    each = (n, channels)
    bound = strength.largest_rotation
    degrees = np.clip(rng.normal(0, strength.rotation_degrees, n), -bound, bound)
    zooms = np.exp(np.clip(rng.normal(0, strength.zoom, n), -strength.largest_zoom, strength.largest_zoom))
    scales = 1 + strength.intensity * rng.normal(size=each)
    shifts = strength.intensity * rng.normal(size=each)
    rotations = rotations_in_plane(np.deg2rad(degrees)) if d == 2 else rotations_about(rng, np.deg2rad(degrees))
    matrices = in_voxels(rotations, spacings_mm) / zooms[:, None, None]
    if flip:
        matrices = matrices * rng.choice([-1, 1], (n, 1, d))
    noisy, blurred = rng.random((2, *each)) < strength.seldom
    values = {
        "matrices": matrices,
        "scales": scales,
        "shifts": shifts,
        "gammas": np.exp(strength.gamma * rng.normal(size=each)),
        "noises": noisy * rng.uniform(0, strength.noise, each),
        "blurs": blurred * rng.uniform(0, strength.blur_voxels, each),
    }
    arrays = {name: value.astype(np.float32) for name, value in values.items()}
    return SampledAugmentation(**arrays, noise_seeds=rng.integers(2**31, size=each))


def rotations_in_plane(radians: np.ndarray) -> np.ndarray:
    """Return rotation matrices (n, 2, 2) of a plane."""
    cos, sin = np.cos(radians), np.sin(radians)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def rotations_about(rng: np.random.Generator, radians: np.ndarray) -> np.ndarray:
    """Return rotation matrices (n, 3, 3) about random axes, uniform over directions (Rodrigues' formula)."""
    axes = rng.normal(size=(len(radians), 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    cross = np.cross(np.eye(3), axes[:, None, :])
    cos, sin = (function(radians)[:, None, None] for function in (np.cos, np.sin))
    return cos * np.eye(3) + sin * cross + (1 - cos) * axes[:, :, None] * axes[:, None, :]


def in_voxels(transforms: np.ndarray, spacings_mm: np.ndarray) -> np.ndarray:
    """Convert transforms (n, d, d) of offsets in mm to transforms of offsets in voxels: S^-1 R S, S = diag(spacing)."""
    return transforms * spacings_mm[:, None, :] / spacings_mm[:, :, None]


def apply_augmentation(augmentation: SampledAugmentation, image, reference, soft, input_size: int, sample_size: int):
    """Transform a batch of enlarged patches with d axes and crop it to the given sizes.

    The result of a patch does not depend on the other patches.

    Args:
        image: float32 (n, channels, input+, ...), interpolated linearly.
        reference: uint8 (n, sample+, ...), interpolated by nearest neighbour.
        soft: float32 (n, classes, sample+, ...) or None, interpolated linearly: the weights sum to one, so that
            probabilities remain probabilities.

    Returns:
        image (n, channels, input, ...), reference (n, sample, ...), soft (n, classes, sample, ...) or None.
    """
    image = _warp(image, augmentation.matrices, input_size, "bilinear")
    _change_intensities(augmentation, image)
    reference = _warp(reference[:, None].astype(np.float32), augmentation.matrices, sample_size, "nearest")[:, 0]
    if soft is not None:
        soft = _warp(soft, augmentation.matrices, sample_size, "bilinear")
    return image, reference.astype(np.uint8), soft


def _warp(values: np.ndarray, matrices: np.ndarray, side: int, mode: str) -> np.ndarray:
    """Resample `values`, float32 (n, channels, ...), on a square or cube of `side` voxels around their centre."""
    n, d = len(values), values.ndim - 2
    offsets = np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2)
    grid = np.empty((n, *[side] * d, d), np.float32)
    for row, extent in enumerate(values.shape[2:]):
        # grid_sample expects the last axis first, with -1 and 1 at the outer edges of the outermost voxels.
        steps = matrices[:, row] * np.float32(2 / extent)
        along = (steps[:, axis, None] * offsets for axis in range(d))
        parts = [part.reshape(n, *[side if a == axis else 1 for a in range(d)]) for axis, part in enumerate(along)]
        np.add(sum(parts[1:-1], parts[0]), parts[-1], out=grid[..., d - 1 - row])
    sample = torch.nn.functional.grid_sample
    warped = sample(*map(torch.from_numpy, (values, grid)), mode, padding_mode="border", align_corners=False)
    return warped.numpy()


def _change_intensities(augmentation: SampledAugmentation, image: np.ndarray) -> None:
    """Apply blur, gamma, scale, shift and noise to each channel of a batch (n, channels, ...), in place."""
    patches = image.reshape(-1, *image.shape[2:])
    for patch, sigma, gamma in zip(patches, augmentation.blurs.flat, augmentation.gammas.flat):
        if sigma > 0:
            ndimage.gaussian_filter(patch, sigma, output=patch, mode="nearest", radius=_BLUR_RADIUS)
        if gamma != 1:
            low, span = patch.min(), max(np.ptp(patch), np.float32(1e-6))
            patch[...] = ((patch - low) / span) ** gamma * span + low
    patches *= augmentation.scales.reshape(-1, *[1] * (patches.ndim - 1))
    patches += augmentation.shifts.reshape(-1, *[1] * (patches.ndim - 1))
    for patch, deviation, seed in zip(patches, augmentation.noises.flat, augmentation.noise_seeds.flat):
        if deviation > 0:
            patch += deviation * np.random.default_rng(seed).standard_normal(patch.shape, np.float32)
