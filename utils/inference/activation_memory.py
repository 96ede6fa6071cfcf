"""Estimate of the memory that a network takes for an input."""

import copy
from collections.abc import Sequence

import torch
from torch import nn

# Multiple of the largest layer's input and output, measured on a CPU: 2.7 for U-Nets, which keep the features of the
# encoder, 2.4 for residual and 2.0 for dilated networks, whose convolutions rearrange their input.
_LAYERS_AT_ONCE = 3


def activation_bytes(network: nn.Module, channels: int, sides: Sequence[int]) -> int:
    """Estimate the peak memory in bytes that a network in evaluation mode takes, beside its weights.

    The input is one image of `channels` and `sides`.
    Three times the largest sum of input and output of any layer. The network runs on PyTorch's meta
    device, which knows shapes but no numbers: it takes milliseconds, and no memory.
    """
    shapes_only = copy.deepcopy(network).to("meta")
    greatest = 0

    def compare(layer, inputs, output):
        nonlocal greatest
        greatest = max(greatest, sum(tensor.nbytes for tensor in (*inputs, output)))

    for layer in shapes_only.modules():
        if not list(layer.children()):
            layer.register_forward_hook(compare)
    with torch.inference_mode():
        shapes_only(torch.empty(1, channels, *sides, device="meta"))
    return _LAYERS_AT_ONCE * greatest
