"""What docstrings of networks state, and what is so."""

import re
from collections.abc import Sequence

import torch
from torch import nn

_NORMALIZATIONS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)


def parameters_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def stated_parameters(network_class: type[nn.Module]) -> list[int]:
    """The numbers with a comma for the thousands in a docstring, in its order."""
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*,\d{3}", network_class.__doc__)]


def extents_seen(network: nn.Module, image_sides: Sequence[int], positions: Sequence[tuple[int, ...]]) -> list[list]:
    """For each of the output `positions`, the extent along each axis of the input voxels that its logits depend on.

    Normalization, which lets every voxel see every other, is taken out.
    """
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _NORMALIZATIONS):
                setattr(parent, name, nn.Identity())
    network.double().eval()
    image = torch.randn(1, 1, *image_sides, dtype=torch.float64, requires_grad=True)
    logits = network(image)
    extents = []
    for position in positions:
        (gradient,) = torch.autograd.grad(logits[(0, slice(None), *position)].sum(), image, retain_graph=True)
        seen = torch.nonzero(gradient[0, 0])
        extents.append((seen.amax(dim=0) - seen.amin(dim=0) + 1).tolist())
    return extents


def largest_extent(network: nn.Module, dimensions: int, axis: int, side: int, period: int) -> int:
    """The largest extent along one axis over `period` neighbouring outputs in the middle of a long, thin image."""
    sides = [2 * period] * dimensions
    sides[axis] = side
    middle = [extent // 2 for extent in sides]
    positions = [tuple(m + shift * (a == axis) for a, m in enumerate(middle)) for shift in range(period)]
    return max(extents[axis] for extents in extents_seen(network, sides, positions))
