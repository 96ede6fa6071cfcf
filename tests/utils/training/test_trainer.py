import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from base.label_classes import IGNORED
from networks import find_architecture
from utils.training.losses import TrainingLoss, cross_entropy
from utils.training.trainer import OPTIMIZERS, Trainer


class Patches(SimpleNamespace):
    def to(self, device):
        return self


def batch(seed: int, size: int = 3) -> Patches:
    generator = torch.Generator().manual_seed(seed)
    reference = torch.randint(0, 3, (size, 4, 4), generator=generator)
    reference[0, 0] = IGNORED
    return Patches(
        image=torch.randn(size, 1, 22, 22, generator=generator), reference=reference, soft=None, deviation=None
    )


def begin(*options) -> Trainer:
    torch.manual_seed(0)
    network = find_architecture("dil2D").build(19, 3)
    return Trainer(network, TrainingLoss("CE"), 3, 10, torch.device("cpu"), 1e-2, *options)


@pytest.fixture
def training():
    return begin()


def test_validation_is_dice_over_all_patches_in_evaluation_mode(training):
    batches = [batch(1), batch(2)]
    for one in batches:
        training.step(one)
    before = copy.deepcopy(training.network.state_dict())
    loss, dices = training.validate(batches)

    network = training.network.eval()
    with torch.no_grad():
        answers = [network(one.image) for one in batches]
    predicted = np.concatenate([one.argmax(dim=1).numpy().ravel() for one in answers])
    reference = np.concatenate([one.reference.numpy().ravel() for one in batches])
    known = reference != IGNORED
    for c in (1, 2):
        p, r = predicted[known] == c, reference[known] == c
        assert dices[c - 1] == pytest.approx(2 * (p & r).sum() / (p.sum() + r.sum()))
    expected = np.mean([cross_entropy(answer, one.reference).item() for answer, one in zip(answers, batches)])
    assert loss == pytest.approx(expected, rel=1e-5)
    after = training.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)  # running batch statistics are unchanged


def test_a_class_that_no_validation_reference_holds_has_no_dice(training):
    without = batch(1)
    without.reference[without.reference == 2] = 0
    assert training.validate([without])[1][1] is None
    assert None not in training.validate([without, batch(2)])[1]


def test_training_mode_is_restored_after_validation(training):
    training.step(batch(1))
    training.validate([batch(2)])
    assert training.network.training


def test_mean_loss_is_over_the_steps_since_the_last_call(training):
    losses = []
    for seed in range(3):
        one = batch(seed)
        with torch.no_grad():
            copied = copy.deepcopy(training.network)
            losses.append(cross_entropy(copied(one.image), one.reference).item())
        training.step(one)
    assert training.take_mean_loss() == pytest.approx(np.mean(losses), rel=1e-4)
    training.step(batch(3))
    assert training.take_mean_loss() != pytest.approx(np.mean(losses), rel=1e-4)


def test_learning_rate_rises_then_falls_to_zero(training):
    rates = []
    for seed in range(10):
        rates.append(training.learning_rate)
        training.step(batch(seed))
    assert max(rates) == pytest.approx(1e-2, rel=0.1)
    assert rates.index(max(rates)) in (2, 3)
    assert training.learning_rate < 1e-6


def rates_of(schedule: str) -> list[float]:
    training = begin("Adam", schedule)
    rates = []
    for seed in range(10):
        rates.append(training.learning_rate)
        training.step(batch(seed))
    return rates


def test_schedules():
    assert rates_of("constant") == [1e-2] * 10
    np.testing.assert_allclose(rates_of("poly"), [1e-2 * (1 - i / 10) ** 0.9 for i in range(10)])
    cycle = rates_of("one-cycle")
    assert max(cycle) == pytest.approx(1e-2, rel=0.05)
    assert 2 <= int(np.argmax(cycle)) <= 4
    assert max(cycle[0], cycle[-1]) < max(cycle) / 10


def test_the_momentum_of_sgd_is_constant_in_every_schedule():
    for schedule in ("one-cycle", "poly", "constant"):
        training = begin("SGD", schedule)
        for seed in range(4):
            training.step(batch(seed))
            (group,) = training.state()["optimizer"]["param_groups"]
            assert (group["momentum"], group["nesterov"]) == (0.99, True)


def test_optimizers_and_weight_decay_take_the_steps_of_pytorch():
    """Compare one step of each with PyTorch's optimizer on the same gradient."""
    for name, make in OPTIMIZERS.items():
        for weight_decay in (0.0, 0.1):
            training = begin(name, "constant", weight_decay)
            reference = copy.deepcopy(training.network)
            optimizer = make(reference.parameters(), lr=1e-2, weight_decay=weight_decay)
            cross_entropy(reference(batch(1).image), batch(1).reference).backward()
            optimizer.step()
            training.step(batch(1))
            for one, other in zip(training.network.parameters(), reference.parameters()):
                torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert OPTIMIZERS["AdamW"] is torch.optim.AdamW
