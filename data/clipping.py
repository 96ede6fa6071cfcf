"""Clipping of foreground to the reference's foreground, or to an earlier prediction."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from base.errors import InputError
from base.label_classes import LabelClasses
from data.cases import Case, class_indices
from data.images.image_files import Grid, from_array, read_image, to_array, to_lps
from data.labels import whole_labels
from data.resampling import resample_reference, voxels_read


@dataclass(frozen=True)
class Clip:
    """Area that foreground is clipped to. Arrays are boolean (z, y, x) along LPS.

    A prediction is decided on the scan's grid, from probabilities that are not clipped yet: those of background beyond
    the area would move its borders inwards.

    Attributes:
        on_scan: the area, on the scan's own grid.
        on_grid: the area, on the resampled grid.
        computed: on the resampled grid, the area and all voxels from which a voxel of `on_scan` is interpolated.
    """

    on_scan: np.ndarray
    on_grid: np.ndarray
    computed: np.ndarray

    @classmethod
    def of(cls, on_scan: np.ndarray, on_grid: np.ndarray, scan: Grid, resampled: Grid) -> "Clip":
        """Return the clip of an area on the grid of the `scan`, and on the `resampled` grid."""
        return cls(on_scan, on_grid, on_grid | voxels_read(on_scan, resampled, scan))

    def apply(self, outputs: np.ndarray) -> None:
        """Make all beyond the area certain background, in place.

        Args:
            outputs: float32 (classes, z, y, x) on the resampled grid; the uncertainty may follow the classes.
        """
        outputs *= self.on_grid
        outputs[0] += ~self.on_grid


def clip_of_reference(case: Case, classes: LabelClasses) -> Clip:
    """Return the foreground of the reference: every class but the background; what is not annotated may be any."""
    on_scan = class_indices(case.original_reference(), classes.table())
    return Clip.of(on_scan > 0, case.resampled_classes(classes) > 0, case.original_grid, case.grid)


def clip_checksum(path: Path, case: Case) -> str:
    """Return the SHA-256 of the file of a prediction that an earlier run wrote for the case.

    Raises:
        InputError: the prediction is missing.
    """
    if not path.is_file():
        problem = f"there is no prediction of {case.name} to clip to"
        raise InputError(path, problem, "predict the same split with the first stage, and name its run with --clip-to")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def clip_of_prediction(path: Path, case: Case) -> Clip:
    """Return the foreground of a prediction that an earlier run wrote for the case.

    Raises:
        InputError: the prediction is damaged, or not on the scan's grid.
    """
    image = to_lps(read_image(path))
    difference = Grid.of(image).differs_from(case.original_grid)
    if difference:
        raise InputError(path, f"is not on the grid of {case.folder} ({difference})", "predict the case again")
    return clip_of_mask(whole_labels(to_array(image), path) > 0, Grid.of(image), case.grid)


def clip_of_mask(foreground: np.ndarray, grid: Grid, resampled: Grid) -> Clip:
    """Return the clip of a boolean mask (z, y, x) on a scan's own `grid`, along LPS."""
    mask = from_array(foreground.astype(np.uint8), grid)
    return Clip.of(foreground, resample_reference(mask, resampled) > 0, grid, resampled)
