"""Losses compared with sums over single voxels in double precision."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from base.label_classes import IGNORED
from utils.training.losses import HARD_LOSSES, SOFT_LOSSES, TrainingLoss


@pytest.fixture
def voxels():
    """Return logits (2, 3, 4, 4), references with some ignored voxels, and soft labels with some unknown voxels."""
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 2, (2, 3, 4, 4))
    reference = rng.integers(0, 3, (2, 4, 4))
    reference[0, 0, :2] = IGNORED
    soft = softmax(rng.normal(0, 2, (2, 3, 4, 4)), axis=1)
    soft[1, :, 3, 1:] = 0
    return logits, reference, soft


def tensors(*arrays):
    return [torch.from_numpy(array) for array in arrays]


def test_cross_entropy_is_the_mean_over_known_voxels(voxels):
    logits, reference, _ = voxels
    log_p = log_softmax(logits, axis=1)
    values = [-log_p[n, reference[n, i, j], i, j] for n, i, j in np.ndindex(2, 4, 4) if reference[n, i, j] != IGNORED]
    assert HARD_LOSSES["CE"](*tensors(logits, reference)).item() == pytest.approx(np.mean(values))


def test_dice_loss_is_over_the_foreground_of_the_batch(voxels):
    logits, reference, _ = voxels
    p = softmax(logits, axis=1)
    known = reference != IGNORED
    scores = []
    for c in (1, 2):
        overlap, sizes = p[:, c][known & (reference == c)].sum(), p[:, c][known].sum() + (reference == c).sum()
        scores.append((2 * overlap + 1) / (sizes + 1))
    assert HARD_LOSSES["dice"](*tensors(logits, reference)).item() == pytest.approx(1 - np.mean(scores))


def test_the_sum_of_both(voxels):
    arguments = tensors(*voxels[:2])
    parts = [HARD_LOSSES[name](*arguments).item() for name in ("CE", "dice")]
    assert HARD_LOSSES["CE+dice"](*arguments).item() == pytest.approx(sum(parts))


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_soft_losses_at_a_temperature(voxels, temperature):
    logits, _, soft = voxels
    log_p = log_softmax(logits / temperature, axis=1)
    known = soft.sum(axis=1) > 0
    entropy = -(soft * log_p).sum(axis=1)[known].mean()
    own = -(soft * np.log(np.where(soft > 0, soft, 1))).sum(axis=1)[known].mean()
    squares = ((np.exp(log_p) - soft) ** 2).mean(axis=1)[known].mean()
    expected = {"CE": entropy, "KL": entropy - own, "MSE": squares}
    expected = {name: temperature**2 * value for name, value in expected.items()}
    scores = []
    for c in (1, 2):
        pairs = [(np.exp(log_p)[n, c, i, j], soft[n, c, i, j]) for n, i, j in np.argwhere(known)]
        scores.append(sum(abs(p - s) for p, s in pairs) / (sum(p + s for p, s in pairs) + 1))
    expected["KL+dice"] = expected["KL"] + temperature * np.mean(scores)
    for name, value in expected.items():
        loss = SOFT_LOSSES[name](*tensors(logits, soft), temperature).item()
        assert loss == pytest.approx(value), name


def test_dice_for_soft_labels_generalizes_dice_and_is_minimal_where_they_agree(voxels):
    logits, reference, soft = tensors(*voxels)
    reference = reference.where(reference != IGNORED, 0)
    hard = torch.nn.functional.one_hot(reference, 3).movedim(-1, 1).double()
    dice = SOFT_LOSSES["KL+dice"](logits, hard, 1.0) - SOFT_LOSSES["KL"](logits, hard, 1.0)
    assert dice.item() == pytest.approx(HARD_LOSSES["dice"](logits, reference).item())
    known = soft.sum(dim=1, keepdim=True) > 0
    assert SOFT_LOSSES["KL+dice"](soft.log().where(known, 0), soft, 1.0).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", SOFT_LOSSES)
def test_gradients_keep_their_scale_at_high_temperature(name):
    """Hinton et al. (2015), section 2: without T², they would be 100 times smaller at T = 100 than at T = 10."""
    sizes = []
    for temperature in (10.0, 100.0):
        logits = torch.tensor([[1.0, -1.0, 0.5]], dtype=torch.float64, requires_grad=True)
        teacher = torch.tensor([[-2.0, 1.0, 0.0]], dtype=torch.float64)
        SOFT_LOSSES[name](logits, torch.softmax(teacher / temperature, dim=1), temperature).backward()
        sizes.append(logits.grad.norm().item())
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)


def test_without_known_voxels_losses_are_zero():
    logits = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    for loss in HARD_LOSSES.values():
        assert loss(logits, torch.full((1, 2, 2), IGNORED)).item() == 0
    for loss in SOFT_LOSSES.values():
        assert loss(logits, torch.zeros(1, 3, 2, 2), 1.0).item() == 0


def batch_of(reference, soft=None, deviation=None):
    return SimpleNamespace(reference=reference, soft=soft, deviation=deviation)


@pytest.mark.parametrize("hard", HARD_LOSSES)
@pytest.mark.parametrize("soft_name", SOFT_LOSSES)
def test_the_student_adds_alpha_times_the_hard_loss(voxels, hard, soft_name):
    logits, reference, soft = tensors(*voxels)
    loss = TrainingLoss(hard, soft_name, 0.25, 2.0)(logits, batch_of(reference, soft))
    expected = SOFT_LOSSES[soft_name](logits, soft, 2.0) + 0.25 * HARD_LOSSES[hard](logits, reference)
    assert loss.item() == pytest.approx(expected.item())


def test_without_soft_labels_it_is_the_hard_loss(voxels):
    logits, reference, _ = tensors(*voxels)
    assert TrainingLoss("dice")(logits, batch_of(reference)).item() == HARD_LOSSES["dice"](logits, reference).item()


def test_class_weights_apply_to_voxels_in_cross_entropy_and_to_classes_in_dice(voxels):
    logits, reference, _ = voxels
    weights = np.array([1.0, 2.0, 5.0])
    log_p, p = log_softmax(logits, axis=1), softmax(logits, axis=1)
    known = reference != IGNORED
    each = [(weights[reference[n, i, j]], -log_p[n, reference[n, i, j], i, j]) for n, i, j in np.argwhere(known)]
    entropy = sum(w * value for w, value in each) / sum(w for w, _ in each)
    scores = []
    for c in (1, 2):
        overlap, sizes = p[:, c][known & (reference == c)].sum(), p[:, c][known].sum() + (reference == c).sum()
        scores.append((2 * overlap + 1) / (sizes + 1))
    dice = 1 - (2 * scores[0] + 5 * scores[1]) / 7
    for name, expected in (("CE", entropy), ("dice", dice), ("CE+dice", entropy + dice)):
        loss = TrainingLoss(name, class_weights=(1, 2, 5))(*tensors(logits), batch_of(*tensors(reference)))
        assert loss.item() == pytest.approx(expected), name


def test_each_coarser_output_has_half_the_weight(voxels):
    logits, reference, _ = tensors(*voxels)
    levels = [logits, 2 * logits, -logits]
    parts = [HARD_LOSSES["CE"](level, reference).item() for level in levels]
    loss = TrainingLoss("CE")(levels, batch_of(reference))
    assert loss.item() == pytest.approx((parts[0] + parts[1] / 2 + parts[2] / 4) / 1.75)


def test_the_second_head_regresses_the_deviation_where_it_is_known(voxels):
    logits, reference, soft = voxels
    rng = np.random.default_rng(1)
    raw, deviation = rng.normal(size=(2, 4, 4)), rng.uniform(0, 0.5, (2, 4, 4))
    known = soft.sum(axis=1) > 0
    expected = ((np.log1p(np.exp(raw)) - deviation) ** 2)[known].mean()
    both = np.concatenate([logits, raw[:, None]], axis=1)
    loss = TrainingLoss("CE", "KL", 0.1)
    without = loss(*tensors(logits), batch_of(*tensors(reference, soft)))
    joint = loss(*tensors(both), batch_of(*tensors(reference, soft, deviation)))
    assert joint.item() - without.item() == pytest.approx(expected)
