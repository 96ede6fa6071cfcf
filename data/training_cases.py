"""Cases in memory, as patches are drawn from them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from base.label_classes import LabelClasses
from data.cases import Case, class_indices
from data.intensities import Normalization
from data.soft_labels import SoftLabels


@dataclass(frozen=True)
class TrainingCase:
    """A case in memory, arrays (z, y, x).

    Attributes:
        image: float32, normalized; `outside` is the value around it.
        reference: uint8 class indices; None without a reference.
        soft: uint8 (classes, z, y, x), the ensemble's mean in units of 1/255; None without soft labels.
        deviation: uint8 (z, y, x), the ensemble's standard deviation in units of 1/510, of the class where it is
            largest; None where it is not learnt.
    """

    name: str
    image: np.ndarray
    outside: float
    spacing_mm: tuple[float, ...]
    reference: np.ndarray | None
    soft: np.ndarray | None = None
    deviation: np.ndarray | None = None

    @property
    def drawing_classes(self) -> np.ndarray:
        """Class indices by which voxels are drawn: the reference's, else the most probable of the soft labels."""
        return self.reference if self.reference is not None else self.soft.argmax(axis=0).astype(np.uint8)


def load_training_case(
    case: Case,
    classes: LabelClasses,
    normalization: Normalization,
    soft_labels: SoftLabels | None = None,
    with_deviation: bool = False,
) -> TrainingCase:
    """Read a case's resampled files; where `soft_labels` says from where, them, and their deviation if asked for."""
    image, outside = normalization.apply(case.resampled_image())
    reference = class_indices(case.resampled_reference(), classes.table()) if case.has_reference else None
    soft = soft_labels.read_mean(case) if soft_labels else None
    deviation = soft_labels.read_deviation(case) if with_deviation else None
    return TrainingCase(case.name, image, outside, case.spacing_mm, reference, soft, deviation)


def fingerprint(cases: Sequence[Case]) -> str:
    """SHA-256 of the names and resampled contents of `cases`, as stage 1 recorded them."""
    lines = [f"{case.name} {sorted(case.fingerprint.items())}" for case in cases]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
