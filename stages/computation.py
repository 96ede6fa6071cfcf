"""Device, threads and precision of a stage that runs networks."""

from dataclasses import dataclass

import torch
from torch import nn

from utils.cli.common_options import DeviceOptions, PredictionOptions
from utils.inference.torch_networks import TorchNetwork
from utils.inference.volumes import InferenceOptions
from utils.runtime.devices import choose_device
from utils.runtime.precision import choose_precision
from utils.runtime.processes import Processes
from utils.runtime.threads import describe_place, use_threads


@dataclass(frozen=True)
class Computation:
    """Device and arithmetic of a stage.

    Attributes:
        device: of this process.
        precision: ``fp32`` or ``bf16``.
        compiled: whether PyTorch compiles the networks.
        place: description of device and threads, for the user.
    """

    device: torch.device
    precision: str
    compiled: bool
    place: str

    @classmethod
    def choose(cls, options: DeviceOptions, processes: Processes) -> "Computation":
        """Choose device and precision, and set the number of threads.

        Raises:
            InputError: there is no such device.
        """
        device = choose_device(options.device, processes)
        place = describe_place(device, use_threads(options.threads, processes))
        return cls(device, choose_precision(options.precision, device), options.compile, place)

    def inference(self, options: PredictionOptions) -> InferenceOptions:
        """Return how networks are run on whole volumes."""
        return InferenceOptions(options.overlap, options.memory_limit_bytes, options.views)

    def run(self, network: nn.Module, number_of_classes: int) -> TorchNetwork:
        """Return `network`, of `number_of_classes`, as a function from arrays to arrays on the device."""
        return TorchNetwork(network, self.device, number_of_classes, self.precision, self.compiled)
