"""Measures of one case: of its segmentation on the scan's own grid, and of its probabilities."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from base.boxes import bounding_box
from base.label_classes import IGNORED
from base.regions import Region
from utils.evaluation.calibration import Reliability, brier_score, expected_calibration_error, foreground_margin
from utils.evaluation.metrics import dice, surface_distances, volume_ml
from utils.evaluation.surface_dice import surface_dice

# Is higher better?
MEASURES = {
    "dice": True,
    "surface_dice": True,
    "asd_mm": False,
    "hausdorff_mm": False,
    "hausdorff95_mm": False,
    "ece": False,
    "brier": False,
}
VOLUMES = ("volume_ml", "reference_volume_ml")


@dataclass(frozen=True)
class Segmentation:
    """A scan, its prediction and its reference (if any) on the scan's own grid.

    `image` is (z, y, x); `prediction` and `reference` too, uint8 in the labels of predictions; spacing (z, y, x) in mm.
    The reference is `IGNORED` where it is not annotated. `first_slice_mm` is the position of the first slice along each
    axis (z, y, x), as patient coordinates towards the head, the back and the left.
    """

    image: np.ndarray
    prediction: np.ndarray
    reference: np.ndarray | None
    spacing_mm: tuple[float, ...]
    first_slice_mm: tuple[float, ...] = (0.0, 0.0, 0.0)

    @property
    def annotated(self) -> np.ndarray | None:
        """Boolean mask (z, y, x) of the annotated voxels; None without a reference, or if all are."""
        known = None if self.reference is None else self.reference != IGNORED
        return None if known is None or known.all() else known


@dataclass(frozen=True)
class Probabilities:
    """Probabilities that a prediction was made from, and the reference (if any), on the resampled grid.

    `values` are float32 (classes, z, y, x), `reference` class indices, uint8 (z, y, x), with `IGNORED`. The spacing is
    (z, y, x) in mm.
    """

    values: np.ndarray
    reference: np.ndarray | None
    spacing_mm: tuple[float, ...]

    @cached_property
    def near_foreground(self) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (classes, n) and reference (n,) of the annotated voxels around the reference's foreground."""
        known = self.reference != IGNORED
        box, near = foreground_margin((self.reference > 0) & known, self.spacing_mm)
        near &= known[box]
        return self.values[(slice(None), *box)][:, near], self.reference[box][near]


def measure_case(
    segmentation: Segmentation, probabilities: Probabilities, regions: Sequence[Region], tolerance_mm: float
) -> list[dict[str, str | float | None]]:
    """Return a row for each region: its name as `class`, and `MEASURES` and `VOLUMES` where they are defined.

    Args:
        tolerance_mm: of the surface Dice.
    """
    of_segmentation = _measure_segmentation(segmentation, regions, tolerance_mm)
    of_probabilities = _measure_probabilities(probabilities, regions)
    return [
        {"class": region.name, **one, **other}
        for region, one, other in zip(regions, of_segmentation, of_probabilities, strict=True)
    ]


def _measure_segmentation(
    segmentation: Segmentation, regions: Sequence[Region], tolerance_mm: float
) -> Iterator[dict[str, float | None]]:
    """Measure each region. Of a reference that is not annotated everywhere, only the Dice of what is annotated."""
    prediction, reference, spacing_mm = segmentation.prediction, segmentation.reference, segmentation.spacing_mm
    annotated = segmentation.annotated
    box = bounding_box(prediction if reference is None else prediction | reference)
    for region in regions:
        mask = np.isin(prediction[box], region.labels)
        measures = {"volume_ml": volume_ml(mask, spacing_mm)}
        if annotated is not None:
            measures["dice"] = dice(mask & annotated[box], np.isin(reference[box], region.labels))
        elif reference is not None:
            true_mask = np.isin(reference[box], region.labels)
            distances = surface_distances(mask, true_mask, spacing_mm)
            measures |= {
                "dice": dice(mask, true_mask),
                "surface_dice": surface_dice(mask, true_mask, spacing_mm, tolerance_mm),
                "asd_mm": distances.average,
                "hausdorff_mm": distances.hausdorff,
                "hausdorff95_mm": distances.hausdorff_95,
                "reference_volume_ml": volume_ml(true_mask, spacing_mm),
            }
        yield measures


def _measure_probabilities(
    probabilities: Probabilities, regions: Sequence[Region]
) -> Iterator[dict[str, float | None]]:
    """Calibration around the reference's foreground; the probability of a union is the sum of its classes'."""
    if probabilities.reference is None:
        yield from ({} for _ in regions)
        return
    values, true_classes = probabilities.near_foreground
    for region in regions:
        probability = values[list(region.channels)].sum(axis=0)
        outcome = np.isin(true_classes, region.channels)
        yield {
            "ece": expected_calibration_error(probability, outcome),
            "brier": brier_score(probability, outcome),
        }


def reliability_of(probabilities: Probabilities, regions: Sequence[Region]) -> dict[str, Reliability]:
    """Return the probabilities of each region, by name, against the reference; nothing without one."""
    if probabilities.reference is None:
        return {}
    values, true_classes = probabilities.near_foreground
    return {
        region.name: Reliability.of(
            values[list(region.channels)].sum(axis=0), np.isin(true_classes, region.channels).astype(float)
        )
        for region in regions
    }
