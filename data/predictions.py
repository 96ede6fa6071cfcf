"""Predictions on the grid of the scan."""

from pathlib import Path

import numpy as np

from base.errors import InputError
from base.label_classes import IGNORED, LabelClasses
from base.run_files import probability_path
from data.cases import Case, class_indices
from data.images.image_files import lps_grid, lps_view, to_orientation_of, write_image
from data.images.image_geometry import Placement
from data.resampling import restore_channels, restore_decision


class Scan:
    """Original scan of a case, to whose grid predictions are resampled. Arrays are (z, y, x) along LPS.

    Raises:
        InputError: it is unreadable, or not on the grid of the scan that was resampled.
    """

    def __init__(self, case: Case):
        self._case = case
        self._image = case.original_image()
        self._placement = Placement.read(case.image_path)
        self._grid = lps_grid(self._image)
        difference = self._grid.differs_from(case.original_grid)
        if difference:
            raise InputError(
                case.image_path, f"is not the scan that was resampled ({difference})", "run resample_data.py again"
            )

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
        indices = zip(self._case.grid.indices_of(self._grid), self._case.grid.shape)
        return tuple(np.clip(np.rint(places).astype(int), 0, size - 1) for places, size in indices)

    def array(self) -> np.ndarray:
        """Return the intensities, a view that is valid as long as the scan exists."""
        return lps_view(self._image)

    def reference(self, classes: LabelClasses) -> np.ndarray | None:
        """Return the reference in the labels of predictions, uint8, with `IGNORED`; None without one."""
        if not self._case.has_reference:
            return None
        return _as_labels(class_indices(self._case.original_reference(), classes.table()), classes)

    def decide(
        self, probabilities: np.ndarray, classes: LabelClasses, probability_folder: Path | None = None
    ) -> np.ndarray:
        """Resample probabilities, float32 (classes, z, y, x), to the scan's grid, and take the argmax.

        Args:
            probability_folder: folder to write each class's probability to, on the scan's grid; None for none.

        Returns:
            uint8 labels of the prediction; the first class of ties.
        """
        if probability_folder:
            for name, share in zip(classes.names, restore_channels(probabilities, self._case.grid, self._grid)):
                path = probability_path(probability_folder, self._case.name, name)
                self._write(share, path)
        return _as_labels(restore_decision(probabilities, self._case.grid, self._grid), classes)

    def write_map(self, values: np.ndarray, path: Path) -> None:
        """Resample a map, float32 (z, y, x), linearly to the scan's grid, and write it."""
        (restored,) = restore_channels([values], self._case.grid, self._grid)
        self._write(restored, path)

    def write(self, labels: np.ndarray, path: Path) -> None:
        """Write `labels`, uint8, with the exact grid of the scan's file."""
        self._write(labels, path)

    def _write(self, values: np.ndarray, path: Path) -> None:
        """Write values on the scan's grid (in LPS order) in the axes, and with both matrices, of the scan's file."""
        write_image(to_orientation_of(values, self._image), path, placement=self._placement)


def _as_labels(indices: np.ndarray, classes: LabelClasses) -> np.ndarray:
    return class_indices(indices, bytes(classes.written_labels).ljust(IGNORED, b"\0") + bytes([IGNORED]))
