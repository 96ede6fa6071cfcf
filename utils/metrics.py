"""Measures of a segmentation against its reference.

Masks are boolean (z, y, x), spacings (z, y, x) in mm. Two empty masks agree perfectly; one empty mask agrees in
nothing. Distances from or to an empty mask do not exist and are None.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree


def dice(prediction: np.ndarray, reference: np.ndarray) -> float:
    """2 |P and R| / (|P| + |R|); 1 when both are empty, 0 when one is."""
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    return 2 * np.count_nonzero(prediction & reference) / total if total else 1.0


def volume_ml(mask: np.ndarray, spacing_mm: tuple[float, ...]) -> float:
    """Volume in millilitres (1000 mm³)."""
    return float(np.count_nonzero(mask) * np.prod(spacing_mm) / 1000)


@dataclass(frozen=True)
class SurfaceDistances:
    """In mm: mean, largest, and 95th percentile of the distances between two surfaces."""

    average: float | None
    hausdorff: float | None
    hausdorff_95: float | None


def surface_distances(prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...]) -> SurfaceDistances:
    """Distances from each surface voxel of either mask to the nearest surface voxel of the other.

    A surface voxel has one of its 6 neighbours outside the mask, or lies at the border of the image. Average and
    percentile are over the distances of both directions together (Heimann et al., IEEE TMI 2009); the 95th percentile
    is the larger of the two directions' (Maier-Hein et al., Metrics reloaded, Nature Methods 2024).
    """
    if not prediction.any() or not reference.any():
        return SurfaceDistances(None, None, None)
    surfaces = [_surface_points_mm(mask, spacing_mm) for mask in (prediction, reference)]
    to_reference = KDTree(surfaces[1]).query(surfaces[0])[0]
    to_prediction = KDTree(surfaces[0]).query(surfaces[1])[0]
    both = np.concatenate([to_reference, to_prediction])
    percentile = max(np.percentile(to_reference, 95), np.percentile(to_prediction, 95))
    return SurfaceDistances(float(both.mean()), float(both.max()), float(percentile))


def _surface_points_mm(mask: np.ndarray, spacing_mm: tuple[float, ...]) -> np.ndarray:
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    inside = mask[box]
    surface = inside & ~ndimage.binary_erosion(inside)
    corner = np.array([part.start for part in box])
    return (np.argwhere(surface) + corner) * np.array(spacing_mm)
