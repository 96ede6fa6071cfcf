"""Predictions on the grid of the scan."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from base.label_classes import LabelClasses
from data.cases import Case, class_indices
from data.image_files import Grid, to_array, to_lps, to_orientation_of, write_image
from data.resampling import restore_channels


class Scan:
    """The original scan of a case: what predictions are brought back to. Arrays are (z, y, x) along LPS."""

    def __init__(self, case: Case):
        self._case = case
        self._image = case.original_image()
        self._grid = Grid.of(to_lps(self._image))

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        return self._grid.spacing_mm

    def array(self) -> np.ndarray:
        return to_array(self._image)

    def reference(self, classes: LabelClasses) -> np.ndarray | None:
        """The reference in the labels of predictions, uint8; None without one."""
        if not self._case.has_reference:
            return None
        return _as_labels(class_indices(self._case.original_reference(), classes.table()), classes)

    def decide(
        self, probabilities: np.ndarray, classes: LabelClasses, probability_folder: Path | None = None
    ) -> np.ndarray:
        """Bring probabilities, float32 (classes, z, y, x) on the resampled grid, back, and decide for the largest.

        Args:
            probability_folder: where to write each class's probability on the scan's grid, if anywhere.

        Returns:
            uint8 labels of the prediction; of equally probable classes the first.
        """
        best = np.full(self._grid.shape, -1, np.float32)
        winner = np.zeros(self._grid.shape, np.uint8)
        for index, share in enumerate(restore_channels(probabilities, self._case.grid, self._grid)):
            winner[share > best] = index
            np.maximum(best, share, out=best)
            if probability_folder:
                path = probability_path(probability_folder, self._case.name, classes.names[index])
                write_image(to_orientation_of(share, self._image), path)
        return _as_labels(winner, classes)

    def write_map(self, values: np.ndarray, path: Path) -> None:
        """Bring a map, float32 (z, y, x) on the resampled grid, back linearly, and write it on the scan's grid."""
        (restored,) = restore_channels([values], self._case.grid, self._grid)
        write_image(to_orientation_of(restored, self._image), path)

    def write(self, labels: np.ndarray, path: Path) -> None:
        """Write `labels` with the exact grid of the scan's file."""
        write_image(sitk.Cast(to_orientation_of(labels, self._image), sitk.sitkUInt8), path)


def probability_path(folder: Path, case_name: str, class_name: str) -> Path:
    """Where the probability of a class is written."""
    return folder / f"{case_name}_probability_{class_name}.nii.gz"


def _as_labels(indices: np.ndarray, classes: LabelClasses) -> np.ndarray:
    return np.array(classes.written_labels, np.uint8)[indices]
