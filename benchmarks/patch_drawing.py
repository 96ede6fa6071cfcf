#!/usr/bin/env python3
"""Drawing a batch of patches around tumours, against rejection sampling of voxels.

python -m benchmarks.patch_drawing --data KITS19/
"""

from itertools import count
from pathlib import Path

import numpy as np

from benchmarks.material import prepared_cases
from benchmarks.measure import Row, run_alone, side_by_side
from benchmarks.trainings import CLASSES, open_cases
from data.cases import find_cases
from data.sampling.patches import TRAINING_STREAM, PatchOptions, PatchSampler

TUMOUR = 2
BATCH_SIZE, SAMPLE_SIZE, INPUT_SIZE = 40, 10, 44
TARGET = 0.02
REPEATS = 7


def run(data_folder: Path | None, work_folder: Path) -> list[Row]:
    cases = find_cases(prepared_cases(data_folder, work_folder), "train")
    opened = open_cases(cases, work_folder / "cache")
    ratios = tuple(float(number == TUMOUR) for number in range(len(CLASSES)))
    options = PatchOptions(2, SAMPLE_SIZE, INPUT_SIZE, (0, 1, 2), "patch-center-voxel", ratios, BATCH_SIZE)
    sampler = PatchSampler(opened, CLASSES.names, options, (TRAINING_STREAM, 0))
    numbers, rng = count(), np.random.default_rng(0)
    with_tumour = [case for case in opened if case.index.counts[TUMOUR]]
    volumes = [
        (case.scalings[0].apply(case.images[0]), np.array(case.labels), case.scalings[0].padding_value)
        for case in with_tumour
    ]
    reference, value = side_by_side(lambda: by_rejection(volumes, rng), lambda: sampler.batch(next(numbers)), REPEATS)
    return [Row("a batch of 40 around tumours", "by rejection", 1000 * value, 1000 * reference, TARGET, "ms")]


def by_rejection(volumes: list, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a batch of slices by rejection sampling, from volumes in memory, each (image, labels, padding value)."""
    images, references = [], []
    while len(images) < BATCH_SIZE:
        image, labels, outside = volumes[rng.integers(len(volumes))]
        voxel = tuple(rng.integers(labels.shape))
        if labels[voxel] != TUMOUR:
            continue
        normal = rng.integers(3)
        images.append(_slice_around(image, voxel, normal, INPUT_SIZE, outside))
        references.append(_slice_around(labels, voxel, normal, SAMPLE_SIZE, 255))
    return np.stack(images), np.stack(references)


def _slice_around(volume: np.ndarray, voxel: tuple, normal: int, side: int, fill: float) -> np.ndarray:
    """Return the square of `side` around `voxel` in the slice normal to axis `normal`, padded with `fill`."""
    plane = np.moveaxis(volume, normal, 0)[voxel[normal]]
    starts = [place - side // 2 for axis, place in enumerate(voxel) if axis != normal]
    square = np.full((side, side), fill, volume.dtype)
    low = [max(start, 0) for start in starts]
    high = [min(start + side, extent) for start, extent in zip(starts, plane.shape)]
    target = tuple(slice(a - start, b - start) for a, b, start in zip(low, high, starts))
    square[target] = plane[low[0] : high[0], low[1] : high[1]]
    return square


def main() -> None:
    run_alone("patch drawing", run)


if __name__ == "__main__":
    main()
