"""How a network's features lie in memory."""

import torch
from torch import nn
from torch.nn.modules.instancenorm import _InstanceNorm


def arranged(network: nn.Module) -> nn.Module:
    """`network` in the layout in which PyTorch runs it fastest; the results are the same but for rounding.

    Measured on a CPU, in training and in prediction: networks of slices are faster with their channels last, unless
    they normalize each instance (U-Nets); networks of volumes are not.
    """
    of_slices = all(parameter.ndim <= 4 for parameter in network.parameters())
    by_instance = any(isinstance(layer, _InstanceNorm) for layer in network.modules())
    layout = torch.channels_last if of_slices and not by_instance else torch.preserve_format
    return network.to(memory_format=layout)
