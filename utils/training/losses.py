"""Losses on logits; the softmax is applied here, once.

Logits are float32 (n, classes, ...), references int64 (n, ...) with `IGNORED` for voxels that do not count, soft labels
float32 (n, classes, ...) that sum to 1, or to 0 where they are unknown. Every loss is a mean over the known voxels, and
0 if there are none. Hard losses take one weight per class, or None for equal weights.

If a batch is shared between processes, `all_sum` sums over them, so that each computes the loss of the whole batch.
"""

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from base.label_classes import IGNORED
from utils.training import loss_names
from utils.training.global_batch import sum_over_processes

AllSum = Callable[[torch.Tensor], torch.Tensor]

_SMOOTHING = 1.0  # voxels; keeps the loss of an absent class finite, and small if hardly any voxel is predicted


def _alone(values: torch.Tensor) -> torch.Tensor:
    """Return `values`: the sum over processes for a batch that is not shared."""
    return values


def cross_entropy(
    logits: torch.Tensor,
    reference: torch.Tensor,
    weights: torch.Tensor | None = None,
    all_sum: AllSum = _alone,
) -> torch.Tensor:
    """Compute the mean of -log p(reference class), each voxel weighted by its class."""
    total = functional.cross_entropy(logits, reference, weights, ignore_index=IGNORED, reduction="sum")
    known = reference != IGNORED
    count = known.sum() if weights is None else weights[reference[known]].sum()
    total, count = all_sum(torch.stack([total, count]))
    return total / count.clamp(min=1e-6 if weights is not None else 1)


def dice_loss(
    logits: torch.Tensor,
    reference: torch.Tensor,
    weights: torch.Tensor | None = None,
    all_sum: AllSum = _alone,
) -> torch.Tensor:
    """Compute 1 - mean over the foreground classes of 2 sum(p r) / (sum p + sum r), over the whole batch.

    Milletari et al., V-Net, 3DV 2016, with sums that are not squared in the denominator (Drozdzal et al., 2016).
    """
    known = (reference != IGNORED).unsqueeze(1)
    probabilities = logits.softmax(dim=1) * known
    one_hot = functional.one_hot(reference.where(known[:, 0], 0), logits.shape[1]).movedim(-1, 1) * known
    axes = (0, *range(2, logits.ndim))
    overlap = (probabilities * one_hot).sum(axes)[1:]
    sizes = (probabilities.sum(axes) + one_hot.sum(axes))[1:]
    overlap, sizes = all_sum(torch.stack([overlap, sizes]))
    dices = (2 * overlap + _SMOOTHING) / (sizes + _SMOOTHING)
    return 1 - (dices.mean() if weights is None else (dices * weights[1:]).sum() / weights[1:].sum())


def cross_entropy_and_dice(
    logits: torch.Tensor,
    reference: torch.Tensor,
    weights: torch.Tensor | None = None,
    all_sum: AllSum = _alone,
) -> torch.Tensor:
    """Compute the sum of both losses (Isensee et al., nnU-Net, 2021)."""
    return cross_entropy(logits, reference, weights, all_sum) + dice_loss(logits, reference, weights, all_sum)


def soft_mse(logits: torch.Tensor, soft: torch.Tensor, temperature: float, all_sum: AllSum = _alone) -> torch.Tensor:
    """Compute T² times the mean over voxels and classes of (p - soft)², p = softmax(logits / T).

    Noothout et al., 2022, with T = 1. As in `soft_cross_entropy`, T² preserves the scale of the gradients: p - soft and
    the derivative of the softmax both scale with 1/T.
    """
    squares = (torch.softmax(logits / temperature, dim=1) - soft).square().mean(dim=1)
    return temperature**2 * _mean_where_known(squares, soft, all_sum)


def soft_cross_entropy(
    logits: torch.Tensor, soft: torch.Tensor, temperature: float, all_sum: AllSum = _alone
) -> torch.Tensor:
    """Compute T² times the mean of -sum soft log p, p = softmax(logits / T).

    T² preserves the scale of the gradients, which scale with 1/T² (Hinton et al., "Distilling the knowledge in a neural
    network", 2015, section 2).
    """
    entropies = -(soft * torch.log_softmax(logits / temperature, dim=1)).sum(dim=1)
    return temperature**2 * _mean_where_known(entropies, soft, all_sum)


def soft_kl(logits: torch.Tensor, soft: torch.Tensor, temperature: float, all_sum: AllSum = _alone) -> torch.Tensor:
    """Compute T² times the mean of sum soft (log soft - log p): the soft cross entropy minus its minimum."""
    divergences = (torch.xlogy(soft, soft) - soft * torch.log_softmax(logits / temperature, dim=1)).sum(dim=1)
    return temperature**2 * _mean_where_known(divergences, soft, all_sum)


def soft_dice(logits: torch.Tensor, soft: torch.Tensor, temperature: float, all_sum: AllSum = _alone) -> torch.Tensor:
    """Compute T (1 - mean over the foreground classes of sum(p + soft - |p - soft|) / sum(p + soft)).

    Sums run over the whole batch. The Dice loss for soft labels of Wang et al., "Dice semimetric losses" (MICCAI 2023):
    on hard labels it equals `dice_loss`, and unlike `dice_loss` it is minimal where p equals the soft label. T
    preserves the scale of the gradients, of which only the derivative of the softmax scales, with 1/T.
    """
    known = (soft.sum(dim=1, keepdim=True) > 0.5).to(logits.dtype)
    probabilities = torch.softmax(logits / temperature, dim=1) * known
    soft = soft * known
    axes = (0, *range(2, logits.ndim))
    apart = (probabilities - soft).abs().sum(axes)[1:]
    sizes = (probabilities.sum(axes) + soft.sum(axes))[1:]
    apart, sizes = all_sum(torch.stack([apart, sizes]))
    return temperature * (apart / (sizes + _SMOOTHING)).mean()


def soft_kl_and_dice(
    logits: torch.Tensor, soft: torch.Tensor, temperature: float, all_sum: AllSum = _alone
) -> torch.Tensor:
    """Compute the sum of both losses; on hard labels it equals `cross_entropy_and_dice`."""
    return soft_kl(logits, soft, temperature, all_sum) + soft_dice(logits, soft, temperature, all_sum)


HARD_LOSSES: dict[str, Callable] = {name: globals()[function] for name, function in loss_names.HARD_LOSSES.items()}
SOFT_LOSSES: dict[str, Callable] = {name: globals()[function] for name, function in loss_names.SOFT_LOSSES.items()}


def deviation_loss(
    raw: torch.Tensor, deviation: torch.Tensor, soft: torch.Tensor, all_sum: AllSum = _alone
) -> torch.Tensor:
    """Compute the mean of (softplus(raw) - deviation)², both (n, ...): the student's regression of its uncertainty."""
    return _mean_where_known((functional.softplus(raw) - deviation).square(), soft, all_sum)


def _mean_where_known(values: torch.Tensor, soft: torch.Tensor, all_sum: AllSum) -> torch.Tensor:
    known = soft.sum(dim=1) > 0.5
    total, count = all_sum(torch.stack([(values * known).sum(), known.sum()]))
    return total / count.clamp(min=1)


class TrainingLoss:
    """Loss of a network's outputs on a batch: ``soft loss + alpha * hard loss`` (Noothout et al., 2022).

    Outputs are logits, or a list of logits from fine to coarse on the grid of the reference (deep supervision, as a
    mean with weights 1, 1/2, 1/4, ...; Isensee et al., 2021). An additional channel after the classes is the student's
    uncertainty.

    Args:
        hard, soft: names of the losses; without `soft`, the hard loss alone.
        class_weights: of the hard loss, one per class; None for equal weights.
    """

    def __init__(
        self,
        hard: str,
        soft: str | None = None,
        alpha: float = 0.0,
        temperature: float = 1.0,
        class_weights: Sequence[float] | None = None,
    ):
        self._hard = HARD_LOSSES[hard]
        self._soft = SOFT_LOSSES[soft] if soft else None
        self._alpha = alpha
        self._temperature = temperature
        self._class_weights = class_weights

    def __call__(self, outputs: torch.Tensor | list[torch.Tensor], batch) -> torch.Tensor:
        """Compute the scalar loss on a batch (`reference`, `soft`, `deviation`), which processes may share."""
        levels = outputs if isinstance(outputs, list) else [outputs]
        shares = [0.5**level for level in range(len(levels))]
        return sum(share * self._of(logits, batch) for share, logits in zip(shares, levels)) / sum(shares)

    def hard(self, logits: torch.Tensor, reference: torch.Tensor, all_sum: AllSum = _alone) -> torch.Tensor:
        """Compute the hard loss alone, with its class weights."""
        weights = None if self._class_weights is None else logits.new_tensor(self._class_weights)
        return self._hard(logits, reference, weights, all_sum)

    def _of(self, logits: torch.Tensor, batch) -> torch.Tensor:
        uncertainty = 0.0
        if batch.deviation is not None:
            uncertainty = deviation_loss(logits[:, -1], batch.deviation, batch.soft, sum_over_processes)
            logits = logits[:, :-1]
        if self._soft is None:
            return self.hard(logits, batch.reference, sum_over_processes)
        soft = self._soft(logits, batch.soft, self._temperature, sum_over_processes)
        return soft + self._alpha * self.hard(logits, batch.reference, sum_over_processes) + uncertainty
