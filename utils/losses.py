"""Losses on logits: softmax happens here, once.

Logits are float32 (n, classes, ...), references int64 (n, ...) with `IGNORED` where a voxel takes no part, soft labels
float32 (n, classes, ...) summing to 1, or to 0 where nothing is known. Every loss is a mean over the voxels that take
part, and 0 where none does.
"""

from collections.abc import Callable

import torch
from torch.nn import functional

from base.label_classes import IGNORED

_SMOOTHING = 1.0  # voxels; keeps the Dice loss of a class that a batch lacks finite, and small when nothing is found


def cross_entropy(logits: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Mean of -log p(reference class)."""
    total = functional.cross_entropy(logits, reference, ignore_index=IGNORED, reduction="sum")
    return total / (reference != IGNORED).sum().clamp(min=1)


def dice_loss(logits: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """1 - mean over the foreground classes of 2 sum(p r) / (sum p + sum r), over the whole batch.

    Milletari et al., V-Net, 3DV 2016, in the form with plain sums (Drozdzal et al., 2016).
    """
    known = (reference != IGNORED).unsqueeze(1)
    probabilities = logits.softmax(dim=1) * known
    one_hot = functional.one_hot(reference.where(known[:, 0], 0), logits.shape[1]).movedim(-1, 1) * known
    axes = (0, *range(2, logits.ndim))
    overlap = (probabilities * one_hot).sum(axes)[1:]
    sizes = (probabilities.sum(axes) + one_hot.sum(axes))[1:]
    return 1 - ((2 * overlap + _SMOOTHING) / (sizes + _SMOOTHING)).mean()


def cross_entropy_and_dice(logits: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Sum of the two (Isensee et al., nnU-Net, 2021)."""
    return cross_entropy(logits, reference) + dice_loss(logits, reference)


HARD_LOSSES: dict[str, Callable] = {"CE": cross_entropy, "dice": dice_loss, "CE+dice": cross_entropy_and_dice}


def soft_mse(logits: torch.Tensor, soft: torch.Tensor, temperature: float) -> torch.Tensor:
    """T² times the mean over voxels and classes of (p - soft)², p = softmax(logits / T) (Noothout et al., 2022, T = 1).

    As in `soft_cross_entropy`, T² keeps the size of the gradients: p - soft and the softmax's slope both shrink by 1/T.
    """
    squares = (torch.softmax(logits / temperature, dim=1) - soft).square().mean(dim=1)
    return temperature**2 * _mean_where_known(squares, soft)


def soft_cross_entropy(logits: torch.Tensor, soft: torch.Tensor, temperature: float) -> torch.Tensor:
    """T² times the mean of -sum soft log p, p = softmax(logits / T).

    T² keeps the size of the gradients, which shrink by 1/T² (Hinton et al., "Distilling the knowledge in a neural
    network", 2015, section 2).
    """
    entropies = -(soft * torch.log_softmax(logits / temperature, dim=1)).sum(dim=1)
    return temperature**2 * _mean_where_known(entropies, soft)


def soft_kl(logits: torch.Tensor, soft: torch.Tensor, temperature: float) -> torch.Tensor:
    """T² times the mean of sum soft (log soft - log p): the soft cross entropy less its least value."""
    divergences = (torch.xlogy(soft, soft) - soft * torch.log_softmax(logits / temperature, dim=1)).sum(dim=1)
    return temperature**2 * _mean_where_known(divergences, soft)


SOFT_LOSSES: dict[str, Callable] = {"MSE": soft_mse, "CE": soft_cross_entropy, "KL": soft_kl}


def _mean_where_known(values: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
    known = soft.sum(dim=1) > 0.5
    return (values * known).sum() / known.sum().clamp(min=1)


def training_loss(hard: str, soft: str | None, alpha: float | None, temperature: float | None) -> Callable:
    """The loss of (logits, reference, soft labels): ``soft loss + alpha * hard loss`` (Noothout et al., 2022).

    `hard` and `soft` name a loss each; without `soft`, it is the hard loss alone.
    """
    hard_loss = HARD_LOSSES[hard]
    if soft is None:
        return lambda logits, reference, soft_labels: hard_loss(logits, reference)
    soft_loss = SOFT_LOSSES[soft]

    def loss(logits, reference, soft_labels):
        return soft_loss(logits, soft_labels, temperature) + alpha * hard_loss(logits, reference)

    return loss
