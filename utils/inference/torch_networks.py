"""Networks of PyTorch as functions from arrays to arrays."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from utils.inference.activation_memory import activation_bytes
from utils.runtime.memory_layout import to_fastest_memory_format

VOXELS_AT_ONCE = {"cpu": 60_000, "cuda": 4_000_000}  # of images that run together


class TorchNetwork:
    """A network on a device, in evaluation mode; see `utils.inference.array_networks.ArrayNetwork`.

    Args:
        number_of_classes: number of output channels that are logits of classes; one more is a student's uncertainty.
        precision: of the network's arithmetic, ``fp32`` or ``bf16``; softmax is always taken in float32.
        compiled: whether PyTorch compiles the network when it first runs (only networks that pad).
    """

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
        number_of_classes: int,
        precision: str = "fp32",
        compiled: bool = False,
    ):
        self._network = to_fastest_memory_format(network.to(device)).eval()
        if compiled and not hasattr(network, "for_padding_values"):
            network.compile()
        self._forward_pass = ForwardPass(device, number_of_classes, precision)
        self._device_type = device.type

    @property
    def voxels_at_once(self) -> int:
        return VOXELS_AT_ONCE[self._device_type]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self._forward_pass(self._network, images)

    def activation_bytes(self, channels: int, sides: Sequence[int]) -> float:
        return activation_bytes(self._network, channels, sides)

    @torch.inference_mode()
    def for_padding_values(self, values: np.ndarray) -> "ValidTorchNetwork":
        return ValidTorchNetwork(self._network.for_padding_values(values), self._forward_pass)


class ValidTorchNetwork:
    """The result of a network's `for_padding_values`; see `utils.inference.array_networks.ValidNetwork`."""

    def __init__(self, network, forward_pass: "ForwardPass"):
        self._network = network
        self._forward_pass = forward_pass
        self.margin = network.margin
        self.constant = forward_pass.probabilities(network.constant_logits()[None])[0].cpu().numpy()
        self._bytes_per_voxel = network.bytes_per_voxel()

    def activation_bytes(self, sides: Sequence[int]) -> float:
        return self._bytes_per_voxel * math.prod(side + 2 * self.margin for side in sides)

    def __call__(self, images: np.ndarray, wanted: Sequence[slice]) -> np.ndarray:
        return self._forward_pass(self._network, images, wanted)


class ForwardPass:
    """Runs networks on a device, and converts their outputs to probabilities; see `TorchNetwork`."""

    def __init__(self, device: torch.device, number_of_classes: int, precision: str = "fp32"):
        self.device = device
        self._number_of_classes = number_of_classes
        self._precision = precision

    @torch.inference_mode()
    def __call__(self, network: Callable[..., torch.Tensor], images: np.ndarray, *rest) -> np.ndarray:
        """Return probabilities, float32 (n, outputs, sides...), of images (n, channels, sides...).

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
