"""Predictions on the grid of the scan."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from base.label_classes import IGNORED, LabelClasses
from data.cases import Case, class_indices
from data.clipping import Clip
from data.images.image_files import Grid, lps_grid, lps_view, to_orientation_of, write_image
from data.images.image_geometry import Placement
from data.resampling import restore_channels, restore_decision


class Scan:
    """A scan, to whose grid predictions are resampled. Arrays are (z, y, x) along LPS.

    Args:
        image: the scan, in its own axis order.
        resampled: grid of the predictions.
        placement: matrices of the scan's file; None if it is not NIfTI.
    """

    def __init__(self, image: sitk.Image, resampled: Grid, placement: Placement | None = None):
        self._image = image
        self._resampled = resampled
        self._placement = placement
        self._grid = lps_grid(image)

    @classmethod
    def of_case(cls, case: Case) -> "Scan":
        """Read the original scan of a case.

        Raises:
            InputError: it is unreadable, or not on the grid of the scan that was resampled.
        """
        return cls(case.original_image(), case.grid, Placement.read(case.image_path))

    @property
    def grid(self) -> Grid:
        """The scan's own grid, along LPS."""
        return self._grid

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        return self._grid.spacing_mm

    @property
    def first_slice_mm(self) -> tuple[float, ...]:
        """Positions of the first slices along the normals of the slices (z, y, x), as patient coordinates in LPS."""
        along = np.array(self._grid.origin) @ np.reshape(self._grid.direction, (3, 3))
        return tuple(along[::-1].tolist())

    @property
    def nearest_voxels(self) -> tuple[np.ndarray, ...]:
        """For each axis (z, y, x), the index on the resampled grid nearest to each voxel of the scan, (voxels,)."""
        indices = zip(self._resampled.indices_of(self._grid), self._resampled.shape)
        return tuple(np.clip(np.rint(places).astype(int), 0, size - 1) for places, size in indices)

    def array(self) -> np.ndarray:
        """Return the intensities, a view that is valid as long as the scan exists."""
        return lps_view(self._image)

    def decide(self, probabilities: np.ndarray, classes: LabelClasses, clip: Clip | None = None) -> np.ndarray:
        """Resample probabilities, float32 (classes, z, y, x), to the scan's grid, and take the argmax.

        Args:
            clip: beyond which everything is background; not yet applied to the probabilities.

        Returns:
            uint8 labels of the prediction; the first class of ties.
        """
        labels = _as_labels(restore_decision(probabilities, self._resampled, self._grid), classes)
        if clip:
            labels[~clip.on_scan] = 0
        return labels

    def image_of(self, values: np.ndarray) -> sitk.Image:
        """Return an image of values on the scan's grid (in LPS order), in the axes of the scan's file."""
        return to_orientation_of(values, self._image)

    def restored(self, values: np.ndarray) -> np.ndarray:
        """Resample a map, float32 (z, y, x), linearly to the scan's grid."""
        (restored,) = restore_channels([values], self._resampled, self._grid)
        return restored

    def write_map(self, values: np.ndarray, path: Path) -> None:
        """Resample a map, float32 (z, y, x), linearly to the scan's grid, and write it."""
        self.write(self.restored(values), path)

    def write(self, values: np.ndarray, path: Path) -> None:
        """Write values on the scan's grid (in LPS order) in the axes, and with both matrices, of the scan's file."""
        write_image(self.image_of(values), path, placement=self._placement)


def reference_labels(case: Case, classes: LabelClasses) -> np.ndarray | None:
    """Return the reference of a case on its scan's grid, in the labels of predictions, with `IGNORED`, uint8.

    None without a reference.
    """
    if not case.has_reference:
        return None
    return _as_labels(class_indices(case.original_reference(), classes.table()), classes)


def _as_labels(indices: np.ndarray, classes: LabelClasses) -> np.ndarray:
    return class_indices(indices, bytes(classes.written_labels).ljust(IGNORED, b"\0") + bytes([IGNORED]))
