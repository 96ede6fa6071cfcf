"""Trainer of one network: steps, validation, and a state that can be stored and restored."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from base.label_classes import IGNORED
from utils.runtime.memory_layout import to_fastest_memory_format_for_training
from utils.runtime.precision import with_precision
from utils.runtime.processes import ALONE, Processes
from utils.training.global_batch import sum_over_processes, synchronize_normalization
from utils.training.losses import TrainingLoss

_SGD_MOMENTUM = 0.99  # with Nesterov's form, as nnU-Net
OPTIMIZERS = {
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
    "SGD": lambda parameters, **rest: torch.optim.SGD(parameters, momentum=_SGD_MOMENTUM, nesterov=True, **rest),
}


def make_schedule(name: str, optimizer: torch.optim.Optimizer, iterations: int):
    """Return the schedule of the learning rate; its highest rate is the optimizer's.

    one-cycle: rises over the first 30% of the iterations and falls to nearly nothing (Smith and Topin,
    "Super-convergence", 2018); the first moment of Adam and AdamW falls from 0.95 to 0.85 and rises again, the momentum
    of SGD stays. poly: falls as (1 - iteration / iterations)^0.9 (Chen et al., DeepLab, 2018). constant.
    """
    schedules = torch.optim.lr_scheduler
    if name == "one-cycle":
        group = optimizer.param_groups[0]
        return schedules.OneCycleLR(optimizer, group["lr"], iterations + 1, cycle_momentum="momentum" not in group)
    if name == "poly":
        return schedules.PolynomialLR(optimizer, iterations, power=0.9)
    return schedules.ConstantLR(optimizer, factor=1.0)


class Trainer:
    """Trains a network with an optimizer, a schedule and a loss.

    Several processes train one network together: each gets its share of every batch, and takes the step that one
    process would take on the whole batch.

    Args:
        optimizer: one of `OPTIMIZERS`; `learning_rate` is its highest rate.
        schedule: ``constant``, ``one-cycle`` or ``poly``.
        number_of_classes: number of output channels that are logits of classes; one more is a student's uncertainty.
        seed: of dropout.
        precision, compiled: as for `with_precision`.
        processes: that train the network together.

    Attributes:
        network: the network, whose weights are trained.
        answering: the network in the training's precision.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: TrainingLoss,
        number_of_classes: int,
        iterations: int,
        device: torch.device,
        learning_rate: float,
        optimizer: str = "Adam",
        schedule: str = "one-cycle",
        weight_decay: float = 0.0,
        *,
        seed: int = 0,
        precision: str = "fp32",
        compiled: bool = False,
        processes: Processes = ALONE,
    ):
        network = to_fastest_memory_format_for_training(network, device, precision).train()
        self.network = synchronize_normalization(network, device) if processes.are_several else network
        self.answering = with_precision(self.network, device, precision, compiled)
        self._stepping = _averaging_gradients(self.answering, device) if processes.are_several else self.answering
        self.device = device
        self.processes = processes
        self._seed = seed
        self.iteration = 0
        self._loss = loss
        self._number_of_classes = number_of_classes
        self._optimizer = OPTIMIZERS[optimizer](self.network.parameters(), lr=learning_rate, weight_decay=weight_decay)
        self._schedule = make_schedule(schedule, self._optimizer, iterations)
        self._loss_sum = torch.zeros((), device=device)
        self._loss_count = 0

    @property
    def learning_rate(self) -> float:
        return self._schedule.get_last_lr()[0]

    def step(self, batch) -> None:
        """Take one step on a batch, or this process's share of it: `image`, `reference`, `soft` and `deviation`."""
        batch = batch.to(self.device)
        self._seed_dropout()
        loss = self._loss(self._stepping(batch.image), batch)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._schedule.step()
        self.iteration += 1
        self._loss_sum += loss.detach()
        self._loss_count += 1

    def _seed_dropout(self) -> None:
        """Make dropout depend on seed, iteration and process alone, so that no state of it must be stored."""
        words = np.random.SeedSequence((self._seed, self.iteration, self.processes.rank)).generate_state(1, np.uint64)
        seed = int(words[0])
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        else:
            torch.default_generator.manual_seed(seed)  # torch.manual_seed looks for every other device, too

    def take_mean_loss(self) -> float:
        """Return the mean loss of the steps since the last call."""
        mean = float(self._loss_sum) / max(self._loss_count, 1)
        self._loss_sum.zero_()
        self._loss_count = 0
        return mean

    @torch.inference_mode()
    def validate(self, batches: Sequence) -> tuple[float, list[float | None]]:
        """Return the mean hard loss, and the Dice of each foreground class over all `batches`, in evaluation mode.

        The Dice of a class that no reference holds is None.

        Args:
            batches: those of this process; the results are over those of all.
        """
        self.network.eval()
        classes = torch.arange(self._number_of_classes, device=self.device)
        count, losses = len(batches), 0.0
        overlap, found, held = torch.zeros(3, len(classes), dtype=torch.float64, device=self.device)
        for batch in batches:
            batch = batch.to(self.device)
            logits = self.answering(batch.image)[:, : self._number_of_classes]
            losses += float(self._loss.hard(logits, batch.reference))
            known = batch.reference != IGNORED
            predicted = logits.argmax(dim=1)[known][:, None] == classes
            true = batch.reference[known][:, None] == classes
            overlap += (predicted & true).sum(dim=0)
            found += predicted.sum(dim=0)
            held += true.sum(dim=0)
        self.network.train()
        means = sum_over_processes(torch.tensor([count, losses], dtype=torch.float64, device=self.device))
        sums = sum_over_processes(torch.stack([overlap, found, held]))[:, 1:].T.tolist()
        dices = [2 * both / (one + other) if other else None for both, one, other in sums]
        return float(means[1] / means[0]), dices

    def state(self) -> dict:
        """Return everything that the next step depends on."""
        return {
            "iteration": self.iteration,
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "loss_sum": self._loss_sum,
            "loss_count": self._loss_count,
        }

    def restore(self, state: dict) -> None:
        """Restore a `state()`."""
        self.iteration = state["iteration"]
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._loss_sum = state["loss_sum"].to(self.device)
        self._loss_count = state["loss_count"]


def _averaging_gradients(network: nn.Module, device: torch.device) -> nn.Module:
    """Wrap `network` so that gradients are averaged over all processes."""
    places = [device] if device.type == "cuda" else None
    # Synchronized normalization keeps the buffers equal.
    return nn.parallel.DistributedDataParallel(network, places, forward_sync_buffers=False)
