"""Trainings for benchmarks: networks, streams of batches, and blocks of steps to be timed."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from base.label_classes import parse_classes
from data.cases import Case
from data.sampling.augmentation import STRENGTHS, sample_augmentation
from data.sampling.batches import BatchStream
from data.sampling.case_cache import Drawing, TrainingLabels, open_case, settle_normalization
from data.sampling.patches import TRAINING_STREAM, PatchOptions, PatchSampler
from data.sampling.training_cases import TrainingCase
from networks import find_architecture
from utils.training.loop import take_steps
from utils.training.losses import TrainingLoss
from utils.training.trainer import Trainer

CLASSES = parse_classes("0,1,2")
NEVER = 10**9
_CPU = torch.device("cpu")


def open_cases(cases: Sequence[Case], cache: Path, labels: TrainingLabels | None = None) -> list[TrainingCase]:
    """Open cases through `cache`, as a training does."""
    channels = cases[0].channels
    normalizations = {channel: settle_normalization(cache, "auto", channel, cases) for channel in channels}
    return [open_case(cache, case, normalizations, Drawing(CLASSES), labels) for case in cases]


def stream_of(
    cases: Sequence[TrainingCase],
    network: str,
    receptive_field: int,
    sample_size: int,
    batch_size: int,
    pinned: bool = False,
) -> BatchStream:
    """Return a stream of batches with the defaults of `training_network.py`; `pinned` for a CUDA device."""
    architecture = find_architecture(network)
    options = PatchOptions(
        architecture.dimensions,
        sample_size,
        architecture.input_size(sample_size, receptive_field),
        (0, 1, 2),
        "entire-sample-area",
        (1, 1, 1),
        batch_size,
        inside=architecture.pads,
    )
    augmentation = partial(sample_augmentation, STRENGTHS["light"], channels=len(cases[0].images))
    return BatchStream(PatchSampler(cases, CLASSES.names, options, (TRAINING_STREAM, 0), augmentation), pinned=pinned)


def training_of(
    network: str,
    receptive_field: int,
    soft: bool = False,
    channels: int = 1,
    features: int | None = None,
    device: torch.device = _CPU,
) -> tuple[Trainer, TrainingLoss]:
    """Return a new training, and its loss."""
    torch.manual_seed(0)
    loss = TrainingLoss("CE+dice", "KL" if soft else None, 0.1)
    model = find_architecture(network).build(receptive_field, len(CLASSES), features, channels=channels)
    return Trainer(model, loss, len(CLASSES), NEVER, device, 0.003), loss


def block_of_steps(training: Trainer, stream: BatchStream, steps: int) -> Callable[[], None]:
    """Return a function that takes the next `steps` steps of a training, as `training_network.py` does."""

    def take_block() -> None:
        end = training.iteration + steps
        take_steps(training, stream.numbered, end, NEVER, NEVER, lambda rate: None, lambda: None)

    return take_block
