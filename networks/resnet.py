"""Residual networks: six residual blocks at a quarter of the resolution."""

import torch
from torch import nn

from networks.layers import LAYERS, Layers
from networks.padding import pad_to_multiple

_STRIDED = 2  # convolutions of stride 2, and transposed ones to undo them
_BLOCKS = 6


class ResNet(nn.Module):
    """A convolution, two of stride 2, six residual blocks, two transposed convolutions, dropout, a 1×1 head.

    After the residual network of Noothout et al. (2022) and that of Johnson et al., "Perceptual losses for real-time
    style transfer and super-resolution" (2016), with the pre-activated blocks of He et al., "Identity mappings in deep
    residual networks" (2016): batch normalization and ReLU come before every convolution but the first. Transposed
    convolutions are 4 wide, twice their stride, so that every output voxel sums equally many terms (Odena et al.,
    "Deconvolution and checkerboard artifacts", 2016); the others are 3 wide.

    Receptive field: 113 voxels, the most that an output voxel sees; how many of them depends on where it lies among the
    strides. With three classes and 16 features 508,419 parameters in 2D, 1,562,403 in 3D.

    Args:
        features: channels of the finest level; the residual blocks have four times as many.
        dropout: chance of each value before the head to be dropped in training.
    """

    def __init__(self, dimensions: int, number_of_classes: int, features: int = 16, dropout: float = 0.2):
        super().__init__()
        layers = LAYERS[dimensions]
        widths = [features * 2**level for level in range(_STRIDED + 1)]
        self.layers = nn.Sequential(
            layers.convolution(1, features, 3, padding=1, bias=False),
            *(_unit(layers, width, layers.convolution, 2 * width, 3, stride=2) for width in widths[:-1]),
            *(_ResidualBlock(layers, widths[-1]) for _ in range(_BLOCKS)),
            *(_unit(layers, 2 * width, layers.transposed_convolution, width, 4, stride=2) for width in widths[-2::-1]),
            layers.batch_normalization(features),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            layers.convolution(features, number_of_classes, 1),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes, sides...) of images (n, 1, sides...) of any size."""
        padded, place = pad_to_multiple(image, 2**_STRIDED)
        return self.layers(padded)[place]


class _ResidualBlock(nn.Module):
    """The input and, added to it, what two units make of it."""

    def __init__(self, layers: Layers, channels: int):
        super().__init__()
        self.units = nn.Sequential(*(_unit(layers, channels, layers.convolution, channels, 3) for _ in range(2)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.units(x)


def _unit(
    layers: Layers, channels: int, convolution: type[nn.Module], features: int, width: int, stride: int = 1
) -> nn.Sequential:
    """Batch normalization, ReLU and a convolution, padded by what keeps the sides, or halves or doubles them."""
    return nn.Sequential(
        layers.batch_normalization(channels),
        nn.ReLU(inplace=True),
        convolution(channels, features, width, stride=stride, padding=1, bias=False),
    )
