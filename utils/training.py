"""One training: steps, validation, and a state that can be stored and taken up."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from base.label_classes import IGNORED


class Training:
    """A network with its optimizer, schedule and loss.

    Adam with a one-cycle schedule (Smith and Topin, "Super-convergence", 2018): the rate rises to `learning_rate` over
    the first 30% of the iterations and falls to nearly nothing.

    Args:
        loss: of (logits, reference, soft labels or None), giving a scalar.
    """

    def __init__(self, network: nn.Module, loss: Callable, learning_rate: float, iterations: int, device: torch.device):
        self.network = network.to(device, memory_format=torch.channels_last).train()
        self._loss = loss
        self.device = device
        self._optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(self._optimizer, learning_rate, iterations + 1)
        self.iteration = 0
        self._loss_sum = torch.zeros((), device=device)
        self._loss_count = 0

    @property
    def learning_rate(self) -> float:
        return self._schedule.get_last_lr()[0]

    def step(self, batch) -> None:
        """Take one step on a batch with `image`, `reference` and `soft`."""
        batch = batch.to(self.device)
        logits = self.network(batch.image.contiguous(memory_format=torch.channels_last))
        loss = self._loss(logits, batch.reference, batch.soft)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._schedule.step()
        self.iteration += 1
        self._loss_sum += loss.detach()
        self._loss_count += 1

    def take_mean_loss(self) -> float:
        """Mean loss of the steps since the last call."""
        mean = float(self._loss_sum) / max(self._loss_count, 1)
        self._loss_sum.zero_()
        self._loss_count = 0
        return mean

    @torch.inference_mode()
    def validate(self, batches: Sequence, loss: Callable) -> tuple[float, list[float]]:
        """Mean of `loss` (of logits and reference), and Dice of each foreground class, over all `batches` together."""
        self.network.eval()
        losses, overlap, sizes = 0.0, 0, 0
        for batch in batches:
            batch = batch.to(self.device)
            logits = self.network(batch.image)
            losses += float(loss(logits, batch.reference))
            known = batch.reference != IGNORED
            classes = torch.arange(logits.shape[1], device=self.device)
            predicted = logits.argmax(dim=1)[known][:, None] == classes
            true = batch.reference[known][:, None] == classes
            overlap = overlap + (predicted & true).sum(dim=0)
            sizes = sizes + predicted.sum(dim=0) + true.sum(dim=0)
        self.network.train()
        dices = torch.where(sizes > 0, 2 * overlap / sizes.clamp(min=1), 1.0)
        return losses / len(batches), dices[1:].tolist()

    def state(self) -> dict:
        """Everything that the next step depends on."""
        return {
            "iteration": self.iteration,
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "loss_sum": self._loss_sum,
            "loss_count": self._loss_count,
            "torch_random_state": torch.get_rng_state(),
            "cuda_random_states": torch.cuda.get_rng_state_all(),
        }

    def restore(self, state: dict) -> None:
        """Go back to a `state()`."""
        self.iteration = state["iteration"]
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._loss_sum = state["loss_sum"].to(self.device)
        self._loss_count = state["loss_count"]
        torch.set_rng_state(state["torch_random_state"])
        if len(state["cuda_random_states"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda_random_states"])
