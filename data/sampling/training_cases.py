"""Training cases from which patches are extracted, and a fingerprint of their content."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from base.argmax import argmax
from base.label_classes import IGNORED
from data.cases import Case
from data.intensities import Scaling
from data.sampling.voxel_index import VoxelIndex
from data.stored_arrays import StoredArrays


@dataclass(frozen=True)
class TrainingCase:
    """A case whose arrays are in memory or memory-mapped.

    Attributes:
        images: (z, y, x), stored intensities of each channel, of a type that float32 represents exactly.
        scalings: convert stored to normalized intensities of each channel.
        table: uint8 (256,), the class index of each label.
        labels: uint8 (z, y, x), of the reference; None without a reference.
        soft: uint8 (classes, z, y, x), the ensemble's mean in units of 1/255; None without soft labels.
        deviation: uint8 (z, y, x), the ensemble's standard deviation in units of 1/510, maximum over the classes; None
            if it is not learnt.
        index: voxels from which patches are drawn.
        stored: the memory-mapped files.
    """

    name: str
    images: tuple[np.ndarray, ...]
    scalings: tuple[Scaling, ...]
    spacing_mm: tuple[float, ...]
    table: np.ndarray
    labels: np.ndarray | None
    soft: np.ndarray | None
    deviation: np.ndarray | None
    index: VoxelIndex
    stored: tuple[StoredArrays, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of voxels (z, y, x)."""
        return self.images[0].shape

    @property
    def bytes_in_files(self) -> int:
        return sum(arrays.bytes for arrays in self.stored)

    def release(self) -> None:
        """Release the memory of the pages of mapped arrays that were read."""
        for arrays in self.stored:
            arrays.release()


def drawing_classes(table: np.ndarray, labels: np.ndarray | None, soft: np.ndarray | None) -> np.ndarray:
    """Return the class indices by which voxels are drawn: of the reference, elsewhere the argmax of the soft labels.

    Without soft labels, voxels that are not annotated are `IGNORED`.
    """
    if labels is None:
        return argmax(soft)
    classes = table[labels]
    unknown = classes == IGNORED
    if soft is not None and unknown.any():
        classes[unknown] = argmax(soft)[unknown]
    return classes


def fingerprint(cases: Sequence[Case]) -> str:
    """Return the SHA-256 of the names and resampled contents of `cases`, as recorded by stage 1."""
    return _sha256(f"{case.name} {sorted(case.fingerprint.items())}" for case in cases)


def grids_fingerprint(cases: Sequence[Case], learns_soft_labels: bool) -> str:
    """Return the SHA-256 of what training reads of `cases` beside voxels: their sizes, which augmentation respects.

    Args:
        learns_soft_labels: whether it also depends on what is said of scribbles, of which soft labels are made.
    """
    return _sha256(
        f"{case.name} {case.grid.spacing_mm} {case.scribbles if learns_soft_labels else ''}" for case in cases
    )


def _sha256(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
