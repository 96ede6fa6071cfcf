"""Dilated networks: a large receptive field without pooling or padding."""

import torch
from torch import nn

from networks.dilated_inference import DilatedInSurroundings
from networks.layers import LAYERS

_HIDDEN_FEATURES = 128  # of the 1×1 layer, which decides voxel by voxel


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
    give the same answers. Receptive fields of 19, 35, 67 and 131 voxels; with three classes and 32 features 42,211,
    51,491, 60,771 and 70,051 parameters in 2D, 116,515, 144,227, 171,939 and 199,651 in 3D.

    Args:
        features: channels of the dilated convolutions.
        dropout: chance of each value before the 1×1 layers to be dropped in training.
    """

    def __init__(
        self,
        dimensions: int,
        receptive_field: int,
        number_of_classes: int,
        features: int = 32,
        dropout: float = 0.0,
    ):
        super().__init__()
        convolution, normalization = LAYERS[dimensions].convolution, LAYERS[dimensions].batch_normalization
        layers, channels = [], 1
        for dilation in dilations(receptive_field):
            layers += [
                convolution(channels, features, 3, dilation=dilation, bias=False),
                normalization(features),
                nn.ReLU(inplace=True),
            ]
            channels = features
        layers += [
            nn.Dropout(dropout),
            convolution(features, _HIDDEN_FEATURES, 1, bias=False),
            normalization(_HIDDEN_FEATURES),
            nn.ReLU(inplace=True),
            convolution(_HIDDEN_FEATURES, number_of_classes, 1),
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes, side - receptive field + 1, ...) of images (n, 1, side, ...)."""
        return self.layers(image)

    def in_surroundings(self, value: float) -> DilatedInSurroundings:
        """The network in evaluation mode, for images around which every voxel has one `value`: the fast way."""
        return DilatedInSurroundings(self.layers, value)
