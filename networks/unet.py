"""U-Nets: an encoder with three poolings and a decoder with skip connections."""

import torch
from torch import nn
from torch.nn import functional

from networks.layers import LAYERS, Layers
from networks.padding import pad_to_multiple

_POOLINGS = 3
_SUPERVISED_LEVELS = 3  # the three levels of the decoder


class UNet(nn.Module):
    """A U-Net with two convolutions per level and three poolings; the number of features doubles at each level.

    After Ronneberger et al., "U-Net: convolutional networks for biomedical image segmentation" (2015), and Çiçek et
    al., "3D U-Net" (2016), with design choices of Isensee et al., "nnU-Net" (2021): padded convolutions of width 3,
    each followed by instance normalization and leaky ReLU, transposed convolutions, deep supervision. As in Ronneberger
    et al., dropout is applied at the end of the encoder.

    Receptive field: 100 voxels at most; it depends on the position of the output voxel relative to the pooling grid.
    With three classes and 16 features, the network has 482,483 parameters in 2D and 1,401,299 in 3D.

    Args:
        features: number of channels of the finest level.
        dropout: dropout probability at the coarsest level.
        deep_supervision: also return logits of the two coarser levels of the decoder in training.
        channels: of the images.
    """

    multiple = 2**_POOLINGS  # that the sides of images are padded to

    def __init__(
        self,
        dimensions: int,
        number_of_classes: int,
        features: int = 16,
        dropout: float = 0.0,
        deep_supervision: bool = False,
        channels: int = 1,
    ):
        super().__init__()
        layers = LAYERS[dimensions]
        widths = [features * 2**level for level in range(_POOLINGS + 1)]
        self.encoders = nn.ModuleList(_level(layers, *pair) for pair in zip([channels, *widths], widths))
        self.pooling = layers.pooling(2)
        self.dropout = nn.Dropout(dropout)
        self.upsamplings = nn.ModuleList(
            layers.transposed_convolution(2 * width, width, 2, stride=2) for width in widths[-2::-1]
        )
        self.decoders = nn.ModuleList(_level(layers, 2 * width, width) for width in widths[-2::-1])
        supervised = _SUPERVISED_LEVELS if deep_supervision else 1
        self.heads = nn.ModuleList(layers.convolution(width, number_of_classes, 1) for width in widths[:supervised])
        self._interpolation = layers.interpolation

    def forward(self, image: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Return logits (n, classes, sides...) of images (n, channels, sides...) of any size.

        In training with deep supervision, return a list of logits, finest level first. Those of coarser levels are
        interpolated to the same shape, so that any loss can be applied to each of them.
        """
        padded, position = pad_to_multiple(image, self.multiple)
        logits = [level[position] for level in self._levels(padded)]
        return logits if len(logits) > 1 else logits[0]

    def without_padding(self, image: torch.Tensor) -> torch.Tensor:
        """Return the logits of evaluation for images whose sides are multiples of `multiple`, at least twice it."""
        (logits,) = self._levels(image)
        return logits

    def _levels(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return logits of padded images, finest level first; of all supervised levels in training."""
        padded_sides = x.shape[2:]
        skipped = []
        for encoder in self.encoders[:-1]:
            skipped.append(encoder(x))
            x = self.pooling(skipped[-1])
        x = self.dropout(self.encoders[-1](x))
        levels = []  # finest first
        for upsampling, decoder in zip(self.upsamplings, self.decoders):
            x = decoder(torch.cat([skipped.pop(), upsampling(x)], dim=1))
            levels.insert(0, x)
        logits = [head(level) for head, level in zip(self.heads if self.training else self.heads[:1], levels)]
        for number, coarse in enumerate(logits[1:], start=1):
            logits[number] = functional.interpolate(coarse, size=padded_sides, mode=self._interpolation)
        return logits


def _level(layers: Layers, channels: int, features: int) -> nn.Sequential:
    """Return two convolutions to `features` channels, each followed by instance normalization and leaky ReLU."""
    units = []
    for channels_in in (channels, features):
        units += [
            layers.convolution(channels_in, features, 3, padding=1, bias=False),
            layers.instance_normalization(features, affine=True),
            nn.LeakyReLU(0.01, inplace=True),
        ]
    return nn.Sequential(*units)
