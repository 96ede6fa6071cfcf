#!/usr/bin/env python3
"""Training with 1,000 cases against training with 50: memory, time per step, time to start.

    python -m benchmarks.many_cases

The cases of 80 × 128 × 128 voxels are shifted copies of a few phantoms. They are kept in the work folder and take, with
the cache of the trainings, about 6 GB.
"""

import gzip
import secrets
import sys
from pathlib import Path
from statistics import median

import numpy as np
import SimpleITK as sitk

from base.atomic_file import replacing
from base.json_files import write_json
from benchmarks.material import ROOT
from benchmarks.measure import Row, run_alone, run_measured, side_by_side
from benchmarks.trainings import block_of_steps, open_cases, stream_of, training_of
from data.case_folder import RECORD, RESAMPLED_IMAGE, RESAMPLED_REFERENCE
from data.cases import find_cases
from data.images.image_files import Grid, checksum, from_array, to_array
from data.phantom import make_phantom

CASES, FEW = 1000, 50
SHAPE, SPACING_MM = (80, 128, 128), (2.5, 1.5, 1.5)
PHANTOMS = 8
STEPS, REPEATS, STARTS, STEPS_IN_MEMORY = 20, 15, 3, 100
NETWORK = ("dil2D", 35, 10, 40)


def run(data_folder: Path | None, work_folder: Path) -> list[Row]:
    """Return the rows; `data_folder` is not used."""
    folder = work_folder / "many_cases"
    many, few = _write_cases(folder)
    save = folder / "SAVE"
    open_cases(find_cases(many, "train"), save / "cache")  # writes the cache of all cases
    seconds = {few: [], many: []}
    for _ in range(STARTS):
        for data, durations in seconds.items():
            durations.append(run_measured(_training(data, save, 1))[0])
    peaks = {data: run_measured(_training(data, save, STEPS_IN_MEMORY))[1] / 2**20 for data in (few, many)}
    slow, fast = _time_steps(find_cases(few, "train"), find_cases(many, "train"), save / "cache")
    start, start_with_few = median(seconds[many]), median(seconds[few])
    against = f"with {FEW}"
    return [
        Row(f"training with {CASES} cases, peak memory", against, peaks[many], peaks[few], 1.2, "MiB"),
        Row(f"training with {CASES} cases, a step", against, 1000 * fast, 1000 * slow, 1.02, "ms"),
        Row(f"training with {CASES} cases, one step from start to end", against, start, start_with_few, 3, "s"),
    ]


def _training(data: Path, save: Path, iterations: int) -> list:
    """Return the command of a training with the given number of steps."""
    network, receptive_field, sample_size, batch_size = NETWORK
    sizes = ["--receptive-field-size", receptive_field, "--sample-size", sample_size, "-b", batch_size]
    where = ["-d", data, "-s", save, "-r", f"run_{secrets.token_hex(4)}"]
    command = [sys.executable, ROOT / "training_network.py", *where, "-n", network, *sizes]
    return [*command, "--classes", "0,1,2", "-i", iterations, "--device", "cpu", "--visdom-port", 0]


def _time_steps(few: list, many: list, cache: Path) -> tuple[float, float]:
    """Return seconds per step with few and with many cases, measured alternately."""
    blocks = []
    for cases in (few, many):
        training, _ = training_of(*NETWORK[:2])
        blocks.append(block_of_steps(training, stream_of(open_cases(cases, cache), *NETWORK), STEPS))
    return tuple(seconds / STEPS for seconds in side_by_side(*blocks, REPEATS))


def _write_cases(folder: Path) -> tuple[Path, Path]:
    """Return folders of many and of few of the same cases in the format of stage 1, written once."""
    many, few = folder / "many", folder / "few"
    phantoms = []
    for number in range(CASES + 1):
        split = "train" if number < CASES else "val"
        case = many / split / f"case_{number:05d}"
        if not (case / RECORD).exists():
            if not phantoms:
                phantoms = [make_phantom(seed, SHAPE, SPACING_MM) for seed in range(PHANTOMS)]
            _write_case(case, *phantoms[number % PHANTOMS], number)
        link = few / split / case.name
        if (number < FEW or split == "val") and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(case.resolve())
    return many, few


def _write_case(folder: Path, image: sitk.Image, reference: sitk.Image, number: int) -> None:
    """Write a phantom in the format of stage 1, shifted so that every case is different."""
    shift = (number // (PHANTOMS * 10) - 6, number // PHANTOMS % 10 - 5)
    arrays = [np.roll(to_array(one), shift, (1, 2)) for one in (image, reference)]
    spacing = SPACING_MM[::-1]
    grid = Grid(arrays[0].shape[::-1], spacing, (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    for array, name in zip(arrays, (RESAMPLED_IMAGE, RESAMPLED_REFERENCE)):
        _write_quickly(from_array(array, grid), folder / name)
    counts = np.bincount(arrays[1].ravel())
    record = {
        "options": {"voxel_size_mm": list(spacing)},
        "original": vars(grid),
        "resampled": vars(grid),
        "labels": {str(label): int(counts[label]) for label in np.flatnonzero(counts)},
        "sha256": {"image": checksum(arrays[0]), "reference": checksum(arrays[1])},
    }
    write_json(folder / RECORD, record)


def _write_quickly(image: sitk.Image, path: Path) -> None:
    """Write compressed NIfTI with the fastest compression level."""
    plain = path.with_suffix("")  # .nii
    plain.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(plain), False)
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(plain.read_bytes(), 1))
    plain.unlink()


def main() -> None:
    run_alone("many cases", run)


if __name__ == "__main__":
    main()
