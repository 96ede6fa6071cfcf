"""Two processes that share a batch take the same step as one process with the whole batch."""

import itertools
from datetime import timedelta
from types import SimpleNamespace

import torch

from base.label_classes import IGNORED
from networks import find_architecture
from tests.processes import together
from utils.runtime.processes import Processes
from utils.training.losses import HARD_LOSSES, SOFT_LOSSES, TrainingLoss
from utils.training.trainer import Trainer

PATCHES = 5  # the first process has three of them


class Patches(SimpleNamespace):
    """A batch, or a process's share of a batch."""

    def to(self, device):
        return self

    def share(self, processes: Processes) -> "Patches":
        return Patches(**{name: None if v is None else processes.share(v) for name, v in vars(self).items()})


def batch(soft: bool, dimensions: int) -> Patches:
    """Return patches with some unknown voxels; all voxels of the second process are unknown."""
    generator = torch.Generator().manual_seed(dimensions)
    sides = [3] * dimensions
    image = torch.randn(PATCHES, 1, *[21] * dimensions, generator=generator)
    reference = torch.randint(0, 3, (PATCHES, *sides), generator=generator)
    probabilities = torch.randn(PATCHES, 3, *sides, generator=generator).softmax(dim=1)
    deviation = torch.rand(PATCHES, *sides, generator=generator)
    reference[0, 0] = reference[1::2] = IGNORED
    probabilities[2, :, 1] = probabilities[1::2] = 0
    return Patches(
        image=image,
        reference=reference,
        soft=probabilities if soft else None,
        deviation=deviation if soft else None,
    )


def take_a_step(name: str, hard: str, soft: str | None, weights: tuple | None, processes: Processes):
    """Return the training after a step on this process's share of a batch, and the whole batch."""
    patches = batch(soft is not None, find_architecture(name).dimensions)
    torch.manual_seed(0)
    network = find_architecture(name).build(19, 3 + (soft is not None), features=16)
    loss = TrainingLoss(hard, soft, 0.3, 2.0, weights)
    training = Trainer(network, loss, 3, 10, torch.device("cpu"), 1e-2, "SGD", processes=processes)
    training.step(patches.share(processes))
    return training, patches


def compare() -> None:
    processes = Processes.of_environment()
    ways = [("dil2D", hard, None, weights) for hard, weights in itertools.product(HARD_LOSSES, (None, (1, 2, 3)))]
    ways += [("dil2D", "CE+dice", soft, None) for soft in SOFT_LOSSES] + [("dil3D", "CE", None, None)]
    alone, shared = [], []
    for way in ways:
        training, patches = take_a_step(*way, Processes())
        alone.append((training, training.validate([patches])))
    with processes.together(timedelta(seconds=20)):
        for way in ways:
            training, patches = take_a_step(*way, processes)
            shared.append((training, training.validate([patches] * processes.rank)))  # the first validates nothing

    for way, (one, (loss, dices)), (other, validated) in zip(ways, alone, shared):
        for (name, expected), found in zip(one.network.named_parameters(), other.network.parameters()):
            assert expected.grad.abs().max() > 1e-4
            assert (found.grad - expected.grad).abs().max() < 1e-6, (way, name)
        states = one.network.state_dict(), other.network.state_dict()
        assert list(states[0]) == list(states[1])
        for name, expected in states[0].items():  # running statistics, too
            torch.testing.assert_close(states[1][name], expected, rtol=1e-6, atol=1e-6)
        assert abs(one.take_mean_loss() - other.take_mean_loss()) < 1e-6
        assert abs(loss - validated[0]) < 1e-5
        assert dices == validated[1]
    print("compared", len(ways))


def test_the_gradient_is_that_of_one_process():
    """For every loss, with unequal shares of the batch, and with a process that has no known voxel."""
    for process in together(compare):
        assert process.status == 0, process.output
        assert "compared 11" in process.output
