"""Dilated networks: a large receptive field without pooling or padding."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from networks.dilated_inference import DilatedInference
from networks.layers import LAYERS

_HIDDEN_FEATURES = 128  # channels of the hidden 1×1 layer of the classifier


def dilations(receptive_field: int) -> list[int]:
    """Return dilations 1, 1, 2, 4, 8, ..., 1 of convolutions of width 3 that give this receptive field.

    The receptive field is 1 + 2 · (sum of the dilations) = 2^n + 3.

    Raises:
        ValueError: no such dilations give this receptive field.
    """
    middle = []
    while 1 + 2 * (2 + sum(middle)) < receptive_field:
        middle.append(2 ** len(middle))
    layers = [1, *middle, 1]
    if 1 + 2 * sum(layers) != receptive_field:
        raise ValueError(f"no doubling dilations give a receptive field of {receptive_field}")
    return layers


class DilatedNetwork(nn.Module):
    """A dilated network: convolutions of growing dilation, then 1×1 layers.

    After Wolterink et al., "Dilated convolutional neural networks for cardiovascular MR segmentation in congenital
    heart disease" (2016), as used by Noothout et al. (2022). Every layer except the last is followed by batch
    normalization and ReLU. Because the convolutions are valid (unpadded), patches and whole volumes give the same
    logits. The receptive field is 19, 35, 67 or 131 voxels. With three classes and 32 features, these networks have
    42,211, 51,491, 60,771 and 70,051 parameters in 2D, and 116,515, 144,227, 171,939 and 199,651 in 3D.

    Args:
        features: number of channels of the dilated convolutions.
        dropout: dropout probability before the 1×1 layers.
        channels: of the images.
    """

    def __init__(
        self,
        dimensions: int,
        receptive_field: int,
        number_of_classes: int,
        features: int = 32,
        dropout: float = 0.0,
        channels: int = 1,
    ):
        super().__init__()
        convolution, normalization = LAYERS[dimensions].convolution, LAYERS[dimensions].batch_normalization
        layers = []
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
        """Return logits (n, classes, side - receptive field + 1, ...) of images (n, channels, side, ...)."""
        return self.layers(image)

    def with_surroundings(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes, side + receptive field - 1, ...) of images and of all voxels that see them.

        The outermost voxels of an image hold the values that all voxels beyond it have. So have, at their values, the
        outermost voxels of each layer's features, because the image influences none beyond them; see also
        `DilatedInference`.
        """
        for layer in self.layers:
            if getattr(layer, "kernel_size", (1,))[0] > 1:
                amounts = [2 * dilation for dilation in layer.dilation for _ in range(2)]
                image = functional.pad(image, amounts, mode="replicate")
            image = layer(image)
        return image

    def for_padding_values(self, values: Sequence[float]) -> DilatedInference:
        """Return a fast version of the network in evaluation mode, for images padded with a constant a channel."""
        return DilatedInference(self.layers, values)
