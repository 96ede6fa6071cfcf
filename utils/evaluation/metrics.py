"""Measures of a segmentation against its reference.

Masks are boolean (z, y, x), spacings (z, y, x) in mm. Two empty masks have a Dice of 1, an empty and a non-empty mask
a Dice of 0. Surface distances are undefined (None) if a mask is empty.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from base.boxes import bounding_box

ROUNDING_MM = 1e-5  # error of spacings that files store in single precision


def dice(prediction: np.ndarray, reference: np.ndarray) -> float:
    """Compute 2 |P and R| / (|P| + |R|); 1 if both masks are empty, 0 if one is."""
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    return 2 * np.count_nonzero(prediction & reference) / total if total else 1.0


def volume_ml(mask: np.ndarray, spacing_mm: tuple[float, ...]) -> float:
    """Return the volume in millilitres (1000 mm³)."""
    return float(np.count_nonzero(mask) * np.prod(spacing_mm) / 1000)


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances in mm from each surface voxel of either mask to the nearest surface voxel of the other.

    An empty mask has no surface voxels, and the distance to it is infinite.
    """

    to_reference: np.ndarray
    to_prediction: np.ndarray

    @property
    def both(self) -> np.ndarray | None:
        """Distances in both directions; None if a mask is empty."""
        if not self.to_reference.size or not self.to_prediction.size:
            return None
        return np.concatenate([self.to_reference, self.to_prediction])

    @property
    def average(self) -> float | None:
        """Average symmetric surface distance: mean over both directions together (Heimann et al., IEEE TMI 2009)."""
        return None if self.both is None else float(self.both.mean())

    @property
    def hausdorff(self) -> float | None:
        """Largest distance (Hausdorff distance)."""
        return None if self.both is None else float(self.both.max())

    @property
    def hausdorff_95(self) -> float | None:
        """The larger of the two directions' 95th percentiles (Maier-Hein et al., Nature Methods 2024)."""
        if self.both is None:
            return None
        return float(max(np.percentile(self.to_reference, 95), np.percentile(self.to_prediction, 95)))


def surface_distances(prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...]) -> SurfaceDistances:
    """Compute the distances between the surfaces of two masks.

    A surface voxel has at least one of its 6 neighbours outside the mask, or lies at the border of the image.
    """
    surfaces = [_surface_points_mm(mask, spacing_mm) for mask in (prediction, reference)]
    return SurfaceDistances(_nearest_mm(surfaces[0], surfaces[1]), _nearest_mm(surfaces[1], surfaces[0]))


def farthest_surface_voxel(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...]
) -> tuple[tuple[int, int, int], float] | None:
    """Return the surface voxel (z, y, x) of either mask that is farthest from the other, and its distance in mm.

    The distance is the Hausdorff distance. None if a mask is empty.
    """
    surfaces = [_surface_points_mm(mask, spacing_mm) for mask in (prediction, reference)]
    if not all(map(len, surfaces)):
        return None
    distances = [_nearest_mm(own, other) for own, other in (surfaces, surfaces[::-1])]
    which = int(distances[1].max() > distances[0].max())
    place = int(distances[which].argmax())
    voxel = np.rint(surfaces[which][place] / np.array(spacing_mm)).astype(int)
    return tuple(voxel.tolist()), float(distances[which][place])


def _surface_points_mm(mask: np.ndarray, spacing_mm: tuple[float, ...]) -> np.ndarray:
    """Return the centres of the surface voxels, (n, 3) in mm."""
    box = bounding_box(mask)
    inside = mask[box]
    surface = inside & ~ndimage.binary_erosion(inside)
    corner = np.array([part.start for part in box])
    return (np.argwhere(surface) + corner) * np.array(spacing_mm)


def _nearest_mm(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the distance from each of `points` to the nearest of `others`; infinite without others."""
    # Surface points are dense and evenly spaced, so that this tree takes half the time of the default one.
    tree = KDTree(others, leafsize=32, balanced_tree=False, compact_nodes=False)
    return tree.query(points, workers=-1)[0]
