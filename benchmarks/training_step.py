#!/usr/bin/env python3
"""Training step including its batch, against the computations of the network alone.

    python -m benchmarks.training_step --data KITS19/

The bare step is forward pass, loss, backward pass and optimizer step of the same network on one fixed batch.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.material import prepared_cases
from benchmarks.measure import Row, run_alone, side_by_side
from benchmarks.trainings import CLASSES, block_of_steps, open_cases, stream_of, training_of
from data.cases import Case, find_cases
from data.sampling.case_cache import TrainingLabels
from data.sampling.training_cases import TrainingCase
from data.soft_labels import SoftLabels
from utils.training.trainer import OPTIMIZERS


@dataclass(frozen=True)
class Program:
    """A training, the number of steps that are timed together, and the number of repeats."""

    network: str
    receptive_field: int
    sample_size: int
    batch_size: int
    soft: bool
    target: float
    steps: int
    repeats: int
    channels: int = 1


PROGRAMS = {
    "dil2D rf 35": Program("dil2D", 35, 10, 40, False, 1.05, 20, 15),
    "dil2D rf 35 --soft": Program("dil2D", 35, 10, 40, True, 1.08, 20, 15),
    "dil2D rf 67": Program("dil2D", 67, 10, 40, False, 1.08, 8, 9),
    "dil2D rf 35, four channels": Program("dil2D", 35, 10, 40, False, 1.1, 20, 15, channels=4),
    "UNet3D, patches of 32, batches of 2": Program("UNet3D", 100, 32, 2, False, 1.08, 3, 9),
}


LARGE_BATCH, LARGE_REPEATS = 40, 3  # of patches of 184 × 184 voxels


def run(data_folder: Path | None, work_folder: Path) -> list[Row]:
    cases = find_cases(prepared_cases(data_folder, work_folder), "train")
    labels = _soft_labels(work_folder / "soft_labels", cases)
    cache = work_folder / "cache"
    rows = [measure(name, program, cases, labels, cache) for name, program in PROGRAMS.items()]
    return [*rows, _layouts(cases, cache)]


def _soft_labels(folder: Path, cases: list[Case]) -> TrainingLabels:
    """Return soft labels with 0.8 for the reference class, written once; real ones take the same time."""
    soft_labels = SoftLabels(folder, CLASSES)
    for case in cases:
        if not soft_labels.is_complete(case):
            mean = np.eye(3, dtype=np.float32)[case.resampled_classes(CLASSES)] * 0.7 + 0.1
            soft_labels.write(case, np.moveaxis(mean, -1, 0), np.zeros((3, *case.grid.shape), np.float32))
    return TrainingLabels(soft_labels, {"made of": "references"})


def measure(name: str, program: Program, cases: list[Case], labels: TrainingLabels, cache: Path) -> Row:
    """Time blocks of whole steps and of bare steps alternately."""
    opened = open_cases(cases, cache, labels if program.soft else None)
    opened = [_with_channels(case, program.channels) for case in opened]
    stream = stream_of(opened, program.network, program.receptive_field, program.sample_size, program.batch_size)
    training, loss = training_of(program.network, program.receptive_field, program.soft, program.channels)
    optimizer = OPTIMIZERS["Adam"](training.network.parameters(), lr=0.003)
    batch = stream.make(0)

    def bare() -> None:
        for _ in range(program.steps):
            optimizer.zero_grad()
            loss(training.network(batch.image), batch).backward()
            optimizer.step()

    whole = block_of_steps(training, stream, program.steps)
    reference, value = side_by_side(bare, whole, program.repeats)
    ms = 1000 / program.steps
    return Row(f"training step, {name}", "bare step", value * ms, reference * ms, program.target, "ms")


def _with_channels(case: TrainingCase, channels: int) -> TrainingCase:
    """Return a case of one channel with as many copies of it as `channels`; real channels take the same time."""
    return replace(case, images=case.images * channels, scalings=case.scalings * channels)


def _layouts(cases: list[Case], cache: Path) -> Row:
    """Time the bare step of a large network in the memory format of training, and in PyTorch's default format."""
    batch = stream_of(open_cases(cases, cache), "dil2D", 131, 54, LARGE_BATCH).make(0)

    def step_in(layout: torch.memory_format | None) -> Callable[[], None]:
        training, loss = training_of("dil2D", 131, False)
        network = training.network if layout is None else training.network.to(memory_format=layout)
        optimizer = OPTIMIZERS["Adam"](network.parameters(), lr=0.003)

        def step() -> None:
            optimizer.zero_grad()
            loss(network(batch.image), batch).backward()
            optimizer.step()

        return step

    times = [1000 * seconds for seconds in side_by_side(step_in(None), step_in(torch.contiguous_format), LARGE_REPEATS)]
    return Row(
        f"bare step, dil2D rf 131, sample 54, batch {LARGE_BATCH}",
        "in PyTorch's default memory format",
        *times,
        0.65,
        "ms",
    )


def main() -> None:
    run_alone("training step", run)


if __name__ == "__main__":
    main()
