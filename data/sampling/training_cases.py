"""Cases as patches are cut from them, and what tells their content."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from base.argmax import argmax
from data.cases import Case
from data.intensities import Scaling
from data.sampling.voxel_index import VoxelIndex
from data.stored_arrays import StoredArrays


@dataclass(frozen=True)
class TrainingCase:
    """A case whose arrays lie in memory, or are mapped into it.

    Attributes:
        image: (z, y, x), intensities as they are stored, a type whose values float32 can hold.
        scaling: what makes of them what a network reads.
        table: uint8 (256,), the class index of each label.
        labels: uint8 (z, y, x), of the reference; None without one.
        soft: uint8 (classes, z, y, x), the ensemble's mean in units of 1/255; None without soft labels.
        deviation: uint8 (z, y, x), the ensemble's standard deviation in units of 1/510, of the class where it is
            largest; None where it is not learnt.
        index: the voxels by which patches are drawn.
        stored: the files that arrays are mapped from.
    """

    name: str
    image: np.ndarray
    scaling: Scaling
    spacing_mm: tuple[float, ...]
    table: np.ndarray
    labels: np.ndarray | None
    soft: np.ndarray | None
    deviation: np.ndarray | None
    index: VoxelIndex
    stored: tuple[StoredArrays, ...] = ()

    @property
    def bytes_in_files(self) -> int:
        return sum(arrays.bytes for arrays in self.stored)

    def release(self) -> None:
        """Let go of the memory that holds what was looked at of mapped arrays."""
        for arrays in self.stored:
            arrays.release()


def drawing_classes(table: np.ndarray, labels: np.ndarray | None, soft: np.ndarray | None) -> np.ndarray:
    """Class indices by which voxels are drawn: the reference's, else the most probable of the soft labels."""
    return table[labels] if labels is not None else argmax(soft)


def fingerprint(cases: Sequence[Case]) -> str:
    """SHA-256 of the names and resampled contents of `cases`, as stage 1 recorded them."""
    lines = [f"{case.name} {sorted(case.fingerprint.items())}" for case in cases]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
