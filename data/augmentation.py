"""Light augmentation: drawn once a patch, applied to image, reference and soft labels of a whole batch alike."""

from dataclasses import dataclass

import numpy as np

_ROTATION_DEGREES = 10.0  # standard deviation
_LARGEST_ROTATION = 25.0
_ZOOM = 0.05  # standard deviation of the logarithm of the size
_LARGEST_ZOOM = 0.1
_INTENSITY_SHIFT = 0.1  # standard deviations, in units of the normalized image's
_INTENSITY_SCALE = 0.1


@dataclass(frozen=True)
class AffineDraw:
    """What was drawn for a batch of n patches.

    Attributes:
        matrices: float32 (n, 2, 2); takes an offset from the centre of the result (rows, columns; voxels) to the
            offset in the patch whose value appears there.
        scales, shifts: float32 (n,); intensities become ``image * scale + shift``.
    """

    matrices: np.ndarray
    scales: np.ndarray
    shifts: np.ndarray


def draw_light_augmentation(rng: np.random.Generator, spacings_mm: np.ndarray) -> AffineDraw:
    """Draw a rotation about the plane's normal, a zoom, and a shift and scale of intensities for each patch.

    `spacings_mm` (n, 2) are those of rows and columns: a rotation is one of the anatomy, not of the voxel grid.
    """
    n = len(spacings_mm)
    degrees = np.clip(rng.normal(0, _ROTATION_DEGREES, n), -_LARGEST_ROTATION, _LARGEST_ROTATION)
    zooms = np.exp(np.clip(rng.normal(0, _ZOOM, n), -_LARGEST_ZOOM, _LARGEST_ZOOM))
    scales = 1 + _INTENSITY_SCALE * rng.normal(size=n)
    shifts = _INTENSITY_SHIFT * rng.normal(size=n)
    return AffineDraw(
        rotation_matrices(np.deg2rad(degrees), zooms, spacings_mm).astype(np.float32),
        scales.astype(np.float32),
        shifts.astype(np.float32),
    )


def rotation_matrices(radians: np.ndarray, zooms: np.ndarray, spacings_mm: np.ndarray) -> np.ndarray:
    """Matrices (n, 2, 2) of rotations by `radians` and zooms, in voxel offsets: S^-1 R S / zoom, S = diag(spacing)."""
    cos, sin = np.cos(radians), np.sin(radians)
    rotations = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    return rotations * spacings_mm[:, None, :] / spacings_mm[:, :, None] / zooms[:, None, None]


def enlargement(spacings_mm: np.ndarray) -> float:
    """Share by which a patch's side must grow so that every drawn transform finds its values inside."""
    angle = np.deg2rad(_LARGEST_ROTATION)
    longest_over_shortest = float((spacings_mm.max(axis=1) / spacings_mm.min(axis=1)).max())
    return (np.cos(angle) + np.sin(angle) * longest_over_shortest) * np.exp(_LARGEST_ZOOM) - 1


def apply_augmentation(draw: AffineDraw, image, reference, soft, input_size: int, sample_size: int):
    """Transform a batch of enlarged patches and crop it to its sizes.

    Args:
        image: float32 tensor (n, input+, input+), interpolated linearly.
        reference: uint8 tensor (n, sample+, sample+), of the nearest voxel.
        soft: float32 tensor (n, classes, sample+, sample+) or None, interpolated linearly: rows of weights that sum to
            one, so that probabilities stay probabilities.

    Returns:
        image (n, input, input), reference (n, sample, sample), soft (n, classes, sample, sample) or None.
    """
    import torch

    matrices = torch.from_numpy(draw.matrices)
    image = _warp(image[:, None], matrices, input_size, "bilinear")[:, 0]
    image = image * torch.from_numpy(draw.scales)[:, None, None] + torch.from_numpy(draw.shifts)[:, None, None]
    reference = _warp(reference[:, None].float(), matrices, sample_size, "nearest")[:, 0].to(torch.uint8)
    if soft is not None:
        soft = _warp(soft, matrices, sample_size, "bilinear")
    return image, reference, soft


def _warp(values, matrices, side: int, mode: str):
    """Sample `values` (n, channels, rows, columns) on a square of `side` about their centre."""
    import torch

    rows, columns = values.shape[-2:]
    offsets = torch.arange(side, dtype=torch.float32) - (side - 1) / 2
    target = torch.stack(torch.meshgrid(offsets, offsets, indexing="ij"), -1).reshape(1, -1, 2)
    source = target @ matrices.transpose(1, 2)
    # grid_sample wants (column, row), with -1 and 1 at the outer edges of the outermost voxels.
    grid = torch.stack([source[..., 1] * 2 / columns, source[..., 0] * 2 / rows], -1)
    grid = grid.reshape(len(values), side, side, 2)
    return torch.nn.functional.grid_sample(values, grid, mode, padding_mode="border", align_corners=False)
