"""Residual networks with six residual blocks at a quarter of the input resolution."""

import torch
from torch import nn

from networks.layers import LAYERS, Layers
from networks.padding import pad_to_multiple

_STRIDED = 2  # number of convolutions of stride 2, and of transposed convolutions
_BLOCKS = 6


class ResNet(nn.Module):
    """A residual network: convolution, two strided convolutions, residual blocks, two transposed ones, dropout, head.

    After the residual network of Noothout et al. (2022) and that of Johnson et al., "Perceptual losses for real-time
    style transfer and super-resolution" (2016), with the pre-activated blocks of He et al., "Identity mappings in deep
    residual networks" (2016): batch normalization and ReLU precede every convolution except the first. The transposed
    convolutions have width 4, twice their stride, so that every output voxel sums the same number of terms (Odena et
    al., "Deconvolution and checkerboard artifacts", 2016); the other convolutions have width 3, the head has width 1.

    Receptive field: 113 voxels at most; it depends on the position of the output voxel relative to the strides. With
    three classes and 16 features, the network has 508,419 parameters in 2D and 1,562,403 in 3D.

    Args:
        features: number of channels of the finest level; the residual blocks have four times as many.
        dropout: dropout probability before the head.
        channels: of the images.
    """

    multiple = 2**_STRIDED  # that the sides of images are padded to

    def __init__(
        self, dimensions: int, number_of_classes: int, features: int = 16, dropout: float = 0.2, channels: int = 1
    ):
        super().__init__()
        layers = LAYERS[dimensions]
        widths = [features * 2**level for level in range(_STRIDED + 1)]
        self.layers = nn.Sequential(
            layers.convolution(channels, features, 3, padding=1, bias=False),
            *(_unit(layers, width, layers.convolution, 2 * width, 3, stride=2) for width in widths[:-1]),
            *(_ResidualBlock(layers, widths[-1]) for _ in range(_BLOCKS)),
            *(_unit(layers, 2 * width, layers.transposed_convolution, width, 4, stride=2) for width in widths[-2::-1]),
            layers.batch_normalization(features),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            layers.convolution(features, number_of_classes, 1),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes, sides...) of images (n, channels, sides...) of any size."""
        padded, position = pad_to_multiple(image, self.multiple)
        return self.layers(padded)[position]

    def without_padding(self, image: torch.Tensor) -> torch.Tensor:
        """Return the logits of images whose sides are multiples of `multiple`, at least twice it."""
        return self.layers(image)


class _ResidualBlock(nn.Module):
    """Two units with a skip connection: x + units(x)."""

    def __init__(self, layers: Layers, channels: int):
        super().__init__()
        self.units = nn.Sequential(*(_unit(layers, channels, layers.convolution, channels, 3) for _ in range(2)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.units(x)


def _unit(
    layers: Layers, channels: int, convolution: type[nn.Module], features: int, width: int, stride: int = 1
) -> nn.Sequential:
    """Return batch normalization, ReLU and a convolution, padded so that the sides are kept, halved or doubled."""
    return nn.Sequential(
        layers.batch_normalization(channels),
        nn.ReLU(inplace=True),
        convolution(channels, features, width, stride=stride, padding=1, bias=False),
    )
