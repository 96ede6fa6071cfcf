#!/usr/bin/env python3
"""A step of training, its batch included, against the network's arithmetic alone.

    python -m benchmarks.training_step --data KITS19/

The bare step is forward pass, loss, backward pass and the optimizer's step of the same network on one batch that stays.
"""

from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch

from base.label_classes import parse_classes
from benchmarks.material import prepared_cases
from benchmarks.measure import Row, run_alone, side_by_side
from data.augmentation import STRENGTHS, draw_augmentation
from data.batches import BatchStream
from data.case_cache import Drawing, TrainingLabels, open_case, settle_normalization
from data.cases import Case, find_cases
from data.patches import TRAINING_STREAM, PatchOptions, PatchSampler
from data.soft_labels import SoftLabels
from networks import find_architecture
from utils.losses import TrainingLoss
from utils.training import OPTIMIZERS, Training
from utils.training_loop import take_steps

CLASSES = parse_classes("0,1,2")
NEVER = 10**9


@dataclass(frozen=True)
class Program:
    """A training, and how many steps of it are timed at once, how many times."""

    name: str
    network: str
    receptive_field: int
    sample_size: int
    batch_size: int
    soft: bool
    target: float
    steps: int
    repeats: int


PROGRAMS = (
    Program("dil2D rf 35", "dil2D", 35, 10, 40, False, 1.05, 30, 21),
    Program("dil2D rf 35 --soft", "dil2D", 35, 10, 40, True, 1.08, 30, 15),
    Program("dil2D rf 67", "dil2D", 67, 10, 40, False, 1.08, 10, 11),
    Program("UNet3D, patches of 32, batches of 2", "UNet3D", 100, 32, 2, False, 1.08, 3, 9),
)


def run(data_folder: Path | None, work_folder: Path) -> list[Row]:
    cases = find_cases(prepared_cases(data_folder, work_folder), "train")
    labels = TrainingLabels(*_soft_labels(work_folder / "soft_labels", cases))
    return [_measure(program, cases, labels if program.soft else None, work_folder) for program in PROGRAMS]


def _soft_labels(folder: Path, cases: list[Case]) -> tuple[SoftLabels, dict]:
    """Soft labels of which the reference's class has 0.8: those of an ensemble cost no more to read. Made once."""
    soft_labels, record = SoftLabels(folder, CLASSES), {"made": "of references"}
    for case in cases:
        if not soft_labels.is_complete(case):
            mean = np.eye(3, dtype=np.float32)[case.resampled_classes(CLASSES)] * 0.7 + 0.1
            soft_labels.write(case, np.moveaxis(mean, -1, 0), np.zeros((3, *case.grid.shape), np.float32))
    return soft_labels, record


def _measure(program: Program, cases: list[Case], labels: TrainingLabels | None, work_folder: Path) -> Row:
    torch.manual_seed(0)
    architecture = find_architecture(program.network)
    loss = TrainingLoss("CE+dice", "KL" if program.soft else None, 0.1)
    network = architecture.build(program.receptive_field, len(CLASSES))
    training = Training(network, loss, len(CLASSES), NEVER, torch.device("cpu"), 0.003)
    stream = _stream(program, architecture, cases, labels, work_folder / "cache")
    batch = stream.make(0)
    optimizer = OPTIMIZERS["Adam"](training.network.parameters(), lr=0.003)

    def bare() -> None:
        for _ in range(program.steps):
            optimizer.zero_grad()
            loss(training.network(batch.image), batch).backward()
            optimizer.step()

    firsts = count(0, program.steps)

    def whole() -> None:
        first = next(firsts)
        training.iteration = first
        take_steps(training, stream.numbered, first + program.steps, NEVER, NEVER, lambda rate: None, lambda: None)

    reference, value = side_by_side(bare, whole, program.repeats)
    in_ms = 1000 / program.steps
    return Row(f"training step, {program.name}", "bare step", value * in_ms, reference * in_ms, program.target, "ms")


def _stream(program: Program, architecture, cases, labels, cache: Path) -> BatchStream:
    normalization = settle_normalization(cache, "auto", cases)
    opened = [open_case(cache, case, normalization, Drawing(CLASSES), labels) for case in cases]
    options = PatchOptions(
        architecture.dimensions,
        program.sample_size,
        architecture.input_size(program.sample_size, program.receptive_field),
        (0, 1, 2),
        "entire-sample-area",
        (1, 1, 1),
        program.batch_size,
        inside=architecture.pads,
    )
    draw = partial(draw_augmentation, STRENGTHS["light"])
    return BatchStream(PatchSampler(opened, CLASSES.names, options, (TRAINING_STREAM, 0), draw))


def main() -> None:
    run_alone("training step", run)


if __name__ == "__main__":
    main()
