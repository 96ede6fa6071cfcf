"""Augmentation: drawn once a patch, applied to image, reference and soft labels of a whole batch alike.

Patches have two axes (slices) or three (boxes); everything here holds for both.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Strength:
    """How far patches may be changed.

    Attributes:
        rotation_degrees, largest_rotation: standard deviation and bound of the angle, about the plane's normal for
            slices and about an axis of any direction for boxes.
        zoom, largest_zoom: the same for the logarithm of the size.
        intensity: standard deviation of shift and of relative scale, in units of the normalized image.
        gamma: standard deviation of the logarithm of the exponent.
        noise, blur_voxels: largest standard deviation of the noise (normalized intensities) and of the Gaussian blur.
        seldom: share of the patches that get noise, and share of those that are blurred.
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


@dataclass(frozen=True)
class AugmentationDraw:
    """What was drawn for a batch of n patches with d axes.

    Attributes:
        matrices: float32 (n, d, d); takes an offset from the centre of the result (voxels, in the order of the axes)
            to the offset in the patch whose value appears there.
        scales, shifts, gammas: float32 (n,); intensities become ``image ** gamma * scale + shift``, the power taken
            between the darkest and the brightest of the patch.
        noises: float32 (n,), standard deviations; `noise_seeds`, int64 (n,), decide the noise itself.
        blurs: float32 (n,), standard deviations in voxels.
    """

    matrices: np.ndarray
    scales: np.ndarray
    shifts: np.ndarray
    gammas: np.ndarray
    noises: np.ndarray
    blurs: np.ndarray
    noise_seeds: np.ndarray

    @property
    def enlargement(self) -> float:
        """Share by which a patch's side must grow so that every transform finds its values inside."""
        return max(0.0, float(np.abs(self.matrices).sum(axis=2).max()) - 1)

    def share(self, rank: int, count: int) -> "AugmentationDraw":
        """What was drawn for every `count`-th patch, from number `rank` on."""
        return AugmentationDraw(**{name: values[rank::count] for name, values in vars(self).items()})


def draw_augmentation(
    strength: Strength, rng: np.random.Generator, spacings_mm: np.ndarray, flip: bool = False
) -> AugmentationDraw:
    """Draw a transform for each patch.

    Args:
        spacings_mm: float (n, d), along the axes of the patches: a rotation is one of the anatomy, not of the grid.
        flip: mirror each axis of every other patch.
    """
    n, d = spacings_mm.shape
    bound = strength.largest_rotation
    degrees = np.clip(rng.normal(0, strength.rotation_degrees, n), -bound, bound)
    zooms = np.exp(np.clip(rng.normal(0, strength.zoom, n), -strength.largest_zoom, strength.largest_zoom))
    scales = 1 + strength.intensity * rng.normal(size=n)
    shifts = strength.intensity * rng.normal(size=n)
    rotations = rotations_in_plane(np.deg2rad(degrees)) if d == 2 else rotations_about(rng, np.deg2rad(degrees))
    matrices = in_voxels(rotations, spacings_mm) / zooms[:, None, None]
    if flip:
        matrices = matrices * rng.choice([-1, 1], (n, 1, d))
    noisy, blurred = rng.random((2, n)) < strength.seldom
    values = {
        "matrices": matrices,
        "scales": scales,
        "shifts": shifts,
        "gammas": np.exp(strength.gamma * rng.normal(size=n)),
        "noises": noisy * rng.uniform(0, strength.noise, n),
        "blurs": blurred * rng.uniform(0, strength.blur_voxels, n),
    }
    arrays = {name: value.astype(np.float32) for name, value in values.items()}
    return AugmentationDraw(**arrays, noise_seeds=rng.integers(2**31, size=n))


def rotations_in_plane(radians: np.ndarray) -> np.ndarray:
    """Rotations (n, 2, 2) of a plane."""
    cos, sin = np.cos(radians), np.sin(radians)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def rotations_about(rng: np.random.Generator, radians: np.ndarray) -> np.ndarray:
    """Rotations (n, 3, 3) about axes of any direction, all directions equally likely (Rodrigues' formula)."""
    axes = rng.normal(size=(len(radians), 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    cross = np.cross(np.eye(3), axes[:, None, :])
    cos, sin = (function(radians)[:, None, None] for function in (np.cos, np.sin))
    return cos * np.eye(3) + sin * cross + (1 - cos) * axes[:, :, None] * axes[:, None, :]


def in_voxels(transforms: np.ndarray, spacings_mm: np.ndarray) -> np.ndarray:
    """Transforms (n, d, d) of offsets in mm as transforms of offsets in voxels: S^-1 R S, S = diag(spacing)."""
    return transforms * spacings_mm[:, None, :] / spacings_mm[:, :, None]


def apply_augmentation(draw: AugmentationDraw, image, reference, soft, input_size: int, sample_size: int):
    """Transform a batch of enlarged patches with d axes and crop it to its sizes.

    Args:
        image: float32 tensor (n, input+, ...), interpolated linearly.
        reference: uint8 tensor (n, sample+, ...), of the nearest voxel.
        soft: float32 tensor (n, channels, sample+, ...) or None, interpolated linearly: rows of weights that sum to
            one, so that probabilities stay probabilities.

    Returns:
        image (n, input, ...), reference (n, sample, ...), soft (n, channels, sample, ...) or None.
    """
    import torch

    matrices = torch.from_numpy(draw.matrices)
    image = _change_intensities(draw, _warp(image[:, None], matrices, input_size, "bilinear"))[:, 0]
    reference = _warp(reference[:, None].float(), matrices, sample_size, "nearest")[:, 0].to(torch.uint8)
    if soft is not None:
        soft = _warp(soft, matrices, sample_size, "bilinear")
    return image, reference, soft


def _warp(values, matrices, side: int, mode: str):
    """Sample `values` (n, channels, ...) on a square or cube of `side` about their centre."""
    import torch

    sizes = values.shape[2:]
    offsets = torch.arange(side, dtype=torch.float32) - (side - 1) / 2
    target = torch.stack(torch.meshgrid(*[offsets] * len(sizes), indexing="ij"), -1).reshape(1, -1, len(sizes))
    source = target @ matrices.transpose(1, 2)
    # grid_sample wants the last axis first, with -1 and 1 at the outer edges of the outermost voxels.
    grid = (source * 2 / torch.tensor(sizes)).flip(-1).reshape(len(values), *[side] * len(sizes), len(sizes))
    return torch.nn.functional.grid_sample(values, grid, mode, padding_mode="border", align_corners=False)


def _change_intensities(draw: AugmentationDraw, image):
    """Blur, gamma, scale and shift, and noise of a batch (n, 1, ...)."""
    import torch

    def column(values):
        return torch.from_numpy(values).reshape(-1, *[1] * (image.ndim - 1))

    if draw.blurs.any():
        image = _blur(image, torch.from_numpy(draw.blurs))
    if (draw.gammas != 1).any():
        low, high = image.flatten(1).aminmax(dim=1)
        low, span = (bound.reshape(column(draw.gammas).shape) for bound in (low, (high - low).clamp(min=1e-6)))
        image = ((image - low) / span).clamp(min=0) ** column(draw.gammas) * span + low
    image = image * column(draw.scales) + column(draw.shifts)
    for number in np.flatnonzero(draw.noises):
        generator = torch.Generator().manual_seed(int(draw.noise_seeds[number]))
        image[number] += torch.randn(image.shape[1:], generator=generator) * float(draw.noises[number])
    return image


def _blur(image, sigmas):
    """Gaussian blur of each patch of a batch (n, 1, ...) with its own standard deviation in voxels."""
    import torch

    radius = int(np.ceil(3 * float(sigmas.max())))
    distances = torch.arange(-radius, radius + 1, dtype=torch.float32)
    weights = torch.exp(-0.5 * (distances / sigmas.clamp(min=1e-3)[:, None]) ** 2)
    weights = weights / weights.sum(dim=1, keepdim=True)
    d = image.ndim - 2
    convolve = torch.nn.functional.conv2d if d == 2 else torch.nn.functional.conv3d
    values = image.transpose(0, 1)  # patches as channels, each with a kernel of its own
    for axis in range(d):
        shape, padding = [1] * d, [0] * d
        shape[axis], padding[axis] = len(distances), radius
        sides = [side for size in reversed(padding) for side in (size, size)]
        padded = torch.nn.functional.pad(values, sides, mode="replicate")
        values = convolve(padded, weights.reshape(-1, 1, *shape), groups=len(image))
    return values.transpose(0, 1)
