"""Forward pass: from images to probabilities, on a device."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn


class ForwardPass:
    """Runs networks on a device, and converts their outputs to probabilities.

    Args:
        number_of_classes: number of output channels that are logits of classes; one more is a student's uncertainty.
        precision: of the networks' arithmetic, ``fp32`` or ``bf16``; softmax is always taken in float32.
    """

    def __init__(self, device: torch.device, number_of_classes: int, precision: str = "fp32"):
        self.device = device
        self._number_of_classes = number_of_classes
        self._precision = precision

    def __call__(self, network: Callable[..., torch.Tensor], images: np.ndarray, *rest) -> np.ndarray:
        """Return probabilities, float32 (n, channels, sides...), of images (n, channels, sides...).

        `rest` is for the network.
        """
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._precision == "bf16"):
            outputs = network(torch.from_numpy(images).to(self.device), *rest)
        return self.probabilities(outputs).cpu().numpy()

    def probabilities(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return softmax over the classes of outputs (n, channels, ...), and softplus of the channel after them."""
        outputs = outputs.float()
        logits, rest = outputs[:, : self._number_of_classes], outputs[:, self._number_of_classes :]
        values = logits.softmax(dim=1)
        return torch.cat([values, nn.functional.softplus(rest)], dim=1) if rest.shape[1] else values
