"""Dilated networks: a large receptive field without pooling or padding."""

import torch
from torch import nn

_FEATURES = 32
_HIDDEN_FEATURES = 128  # of the 1×1 layer, which decides voxel by voxel

_CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}
_NORMALIZATION = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def dilations(receptive_field: int) -> list[int]:
    """Dilations 1, 1, 2, 4, 8, ..., 1 of 3-wide convolutions: receptive field 1 + 2 · (their sum) = 2^n + 3.

    Raises:
        ValueError: no such list has that receptive field.
    """
    middle = []
    while 1 + 2 * (2 + sum(middle)) < receptive_field:
        middle.append(2 ** len(middle))
    layers = [1, *middle, 1]
    if 1 + 2 * sum(layers) != receptive_field:
        raise ValueError(f"no doubling dilations give a receptive field of {receptive_field}")
    return layers


class DilatedNetwork(nn.Module):
    """Convolutions of growing dilation, then 1×1 layers; each followed by batch normalization and ReLU.

    After Wolterink et al., "Dilated convolutional neural networks for cardiovascular MR segmentation in congenital
    heart disease" (2016), the network of Noothout et al. (2022). Nothing is padded, so that whole volumes and patches
    give the same answers. Receptive fields of 19, 35, 67 and 131 voxels; with three classes and in 2D 42,211, 51,491,
    60,771 and 70,051 parameters.
    """

    def __init__(self, dimensions: int, receptive_field: int, number_of_classes: int):
        super().__init__()
        convolution, normalization = _CONVOLUTION[dimensions], _NORMALIZATION[dimensions]
        layers, channels = [], 1
        for dilation in dilations(receptive_field):
            layers += [
                convolution(channels, _FEATURES, 3, dilation=dilation, bias=False),
                normalization(_FEATURES),
                nn.ReLU(inplace=True),
            ]
            channels = _FEATURES
        layers += [
            convolution(channels, _HIDDEN_FEATURES, 1, bias=False),
            normalization(_HIDDEN_FEATURES),
            nn.ReLU(inplace=True),
            convolution(_HIDDEN_FEATURES, number_of_classes, 1),
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes, side - receptive field + 1, ...) of images (n, 1, side, ...)."""
        return self.layers(image)
