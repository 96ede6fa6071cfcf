"""Floating-point precision of a network, and its compilation by PyTorch."""

import sys

import torch
from torch import nn


def choose_precision(name: str, device: torch.device) -> str:
    """Return ``fp32`` or ``bf16`` for ``--precision`` auto, fp32 or bf16; auto is bf16 on a GPU that supports it.

    Warns on standard error if the CPU only emulates bfloat16. On a GPU, fp32 is made to be single precision: otherwise,
    PyTorch rounds the inputs of convolutions to TF32, with 10 bits in place of 23.
    """
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    if name == "auto":
        is_supported = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16" if is_supported else "fp32"
    if name == "bf16" and device.type == "cpu" and not _processor_has_bfloat16():
        print(
            "warning: --precision bf16: this processor has no bfloat16 arithmetic, and emulating it takes many "
            "times as long as fp32",
            file=sys.stderr,
        )
    return name


def _processor_has_bfloat16() -> bool:
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def with_precision(network: nn.Module, device: torch.device, precision: str, compiled: bool) -> nn.Module:
    """Return a module that computes the float32 outputs of `network` in a precision; weights and their names stay.

    Args:
        precision: ``fp32``, or ``bf16`` for autocast to bfloat16 (convolutions and other operations that allow it).
        compiled: compile the network at its first run (`torch.compile`).
    """
    if compiled:
        network.compile()  # in place, unlike torch.compile
    return network if precision == "fp32" else _InBfloat16(network, device.type)


class _InBfloat16(nn.Module):
    """A network in mixed precision (Micikevicius et al., 2018; bfloat16 needs no scaling of the loss)."""

    def __init__(self, network: nn.Module, device_type: str):
        super().__init__()
        self.network = network
        self._device_type = device_type

    def forward(self, image: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        with torch.autocast(self._device_type, torch.bfloat16):
            outputs = self.network(image)
        return [level.float() for level in outputs] if isinstance(outputs, list) else outputs.float()
