"""Fast inference of dilated networks on images padded with constants, whose constant features are not computed."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from networks.layers import convolve_volumes

_CONVOLUTIONS = {2: functional.conv2d, 3: convolve_volumes}
_LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}
# The 1×1 layers process so many voxels at a time, for which their features stay in the processor's cache.
_VOXELS_PER_STEP = {"cpu": 1 << 11, "cuda": 1 << 20}


class DilatedInference:
    """A dilated network in evaluation mode, for images padded with a constant such as that of air.

    Outside of the image's influence, the features of each layer are constant. Features are stored as differences from
    this constant, so that zero padding of a convolution is exact. Each layer is computed only where the image
    influences it and later layers need it:

        image                   . . . i i i i . . .         receptive field 11, dilations 1, 1, 2, 1: margin 5
        after dilation 1        . . f f f f f f . .         the influence of the image reaches 1 voxel,
        after dilation 1, 1     . f f f f f f f f .         2 voxels,
        after dilation 1, 1, 2  . . f f f f f f . .         4 voxels, of which only 1 is needed
        wanted                        w w w w

    Batch normalizations are folded into the convolutions. The logits are those of the network up to rounding.

    Args:
        layers: the layers of the network: convolutions, each except the last followed by batch normalization and ReLU;
            those of width 1 come last.
        padding_values: value, in each channel, of the voxels beyond the images.
    """

    def __init__(self, layers: nn.Sequential, padding_values: Sequence[float]):
        convolutions = [
            fuse_conv_bn_eval(layer, following) if hasattr(following, "running_var") else layer
            for layer, following in zip(layers, [*layers[1:], None])
            if hasattr(layer, "kernel_size")
        ]
        dimensions = len(convolutions[0].kernel_size)
        self._convolve, self._layout = _CONVOLUTIONS[dimensions], _LAYOUTS[dimensions]
        constant = convolutions[0].weight.new_tensor(padding_values)
        shape = (1, -1, *[1] * dimensions)
        self._padding_values = constant.view(shape)
        self._dilated = []
        for layer in convolutions:
            if layer.kernel_size[0] == 1:
                continue
            before_relu = layer.weight.flatten(2).sum(dim=2) @ constant + layer.bias
            constant = before_relu.relu()
            # ReLU of a difference: max(x, 0) - constant = max(x - constant, -constant).
            difference = (layer.weight.to(memory_format=self._layout), before_relu - constant, -constant.view(shape))
            self._dilated.append((*difference, layer.dilation[0]))
        self.margin = sum(dilation for *_, dilation in self._dilated)
        pointwise = [layer for layer in convolutions if layer.kernel_size[0] == 1]
        self._pointwise = [(layer.weight.flatten(1), layer.bias) for layer in pointwise]
        weight, bias = self._pointwise[0]
        self._pointwise[0] = (weight, weight @ constant + bias)

    def constant_logits(self) -> torch.Tensor:
        """Return the logits (classes,) of a voxel whose receptive field contains only the padding values."""
        weight, _ = self._pointwise[0]
        return self._classify(weight.new_zeros(1, weight.shape[1]))[:, 0]

    def bytes_per_voxel(self) -> int:
        """Return the memory per voxel: input and output of a layer, and the workspace of a convolution."""
        features = max(len(weight) for weight, *_ in self._dilated)
        return 3 * features * self._dilated[0][0].element_size()

    def __call__(self, images: torch.Tensor, wanted: Sequence[slice]) -> torch.Tensor:
        """Return logits (n, classes, sides of `wanted`...) of images (n, channels, sides...).

        Args:
            wanted: for each axis, the slice of voxels to classify, relative to the first voxel of the image; it may
                extend beyond the image by up to `margin` at both ends. Where it ends more than `margin` voxels inside
                the image, the voxels beyond the image have no influence.
        """
        sides = images.shape[2:]
        x = (images - self._padding_values).to(self._dilated[0][0].dtype, memory_format=self._layout)
        spans = [(0, side) for side in sides]
        reach = 0
        for weight, bias, minimum, dilation in self._dilated:
            reach += dilation
            rest = self.margin - reach
            needed = [
                (max(-reach, part.start - rest), min(side + reach, part.stop + rest))
                for part, side in zip(wanted, sides)
            ]
            padding = [dilation + max(start - first, end - stop) for (start, stop), (first, end) in zip(spans, needed)]
            x = self._convolve(x, weight, bias, padding=padding, dilation=[dilation] * len(padding))
            starts = [start + dilation - amount for (start, _), amount in zip(spans, padding)]
            x = x[(..., *(slice(first - start, end - start) for start, (first, end) in zip(starts, needed)))]
            x = x.contiguous(memory_format=self._layout)
            torch.maximum(x, minimum.to(x.dtype), out=x)
            spans = needed
        features = x.movedim(1, -1)
        logits = self._classify(features.reshape(-1, features.shape[-1]))
        return logits.unflatten(1, features.shape[:-1]).transpose(0, 1)

    def _classify(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits (classes, voxels) of features (voxels, channels)."""
        count = _VOXELS_PER_STEP.get(features.device.type, len(features))
        return torch.cat([self._pointwise_layers(part) for part in features.split(count)], dim=1)

    def _pointwise_layers(self, features: torch.Tensor) -> torch.Tensor:
        for weight, bias in self._pointwise[:-1]:
            features = functional.linear(features, weight, bias).relu_()
        weight, bias = self._pointwise[-1]
        return torch.addmm(bias[:, None], weight, features.t())
