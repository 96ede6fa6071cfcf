"""Dilated networks on images in constant surroundings: what is known beforehand is not computed."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from networks.layers import convolve_volumes

_CONVOLUTIONS = {2: functional.conv2d, 3: convolve_volumes}
_LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}
# The 1×1 layers take so many voxels at once: their features then stay in the cache of a processor.
_VOXELS_AT_ONCE = {"cpu": 1 << 11, "cuda": 1 << 20}


class DilatedInSurroundings:
    """A dilated network in evaluation mode, for images around which every voxel has one value, such as air.

    The features of each layer are constant too wherever the network sees nothing of the image. They are kept as their
    difference from that constant: then the zeros that a convolution pads are what really lies there, and each layer is
    computed only as far as the image has an influence, and as far as the later layers look:

        image                   . . . i i i i . . .         receptive field 11, dilations 1, 1, 2, 1: margin 5
        after dilation 1        . . f f f f f f . .         the image's influence reaches 1 voxel,
        after dilation 1, 1     . f f f f f f f f .         2 voxels,
        after dilation 1, 1, 2  . . f f f f f f . .         4 voxels, of which only 1 is looked at
        wanted                        w w w w

    Normalizations are folded into the convolutions. Both leave the logits what they are, but for rounding.

    Args:
        layers: of the network: convolutions, each but the last followed by normalization and ReLU, those that are 1
            wide at the end.
        surroundings: value of what lies around the images.
    """

    def __init__(self, layers: nn.Sequential, surroundings: float):
        convolutions = [
            fuse_conv_bn_eval(layer, following) if hasattr(following, "running_var") else layer
            for layer, following in zip(layers, [*layers[1:], None])
            if hasattr(layer, "kernel_size")
        ]
        dimensions = len(convolutions[0].kernel_size)
        self._convolve, self._layout = _CONVOLUTIONS[dimensions], _LAYOUTS[dimensions]
        self._surroundings = surroundings
        constant = convolutions[0].weight.new_tensor([surroundings])
        shape = (1, -1, *[1] * dimensions)
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
        """Logits (classes,) of a voxel from which nothing of the image is seen."""
        weight, _ = self._pointwise[0]
        return self._classify(weight.new_zeros(1, weight.shape[1]))[:, 0]

    def bytes_per_voxel(self) -> int:
        """Memory that a voxel takes on the way: features before and after a layer, and those a convolution arranges."""
        features = max(len(weight) for weight, *_ in self._dilated)
        return 3 * features * self._dilated[0][0].element_size()

    def __call__(self, images: torch.Tensor, wanted: Sequence[slice]) -> torch.Tensor:
        """Logits (n, classes, sides of `wanted`...) of images (n, 1, sides...).

        Args:
            wanted: of each axis the part to be classified, in voxels from the image's first; it may begin up to
                `margin` before it and end as far behind it. Where more than `margin` voxels lie between its end and the
                image's, it does not matter what lies around the image.
        """
        sides = images.shape[2:]
        x = (images - self._surroundings).to(self._dilated[0][0].dtype, memory_format=self._layout)
        spans = [(0, side) for side in sides]
        reach = 0
        for weight, bias, least, dilation in self._dilated:
            reach += dilation
            rest = self.margin - reach
            needed = [
                (max(-reach, part.start - rest), min(side + reach, part.stop + rest))
                for part, side in zip(wanted, sides)
            ]
            padding = [dilation + max(start - first, end - stop) for (start, stop), (first, end) in zip(spans, needed)]
            x = self._convolve(x, weight, bias, padding=padding, dilation=[dilation] * len(padding))
            begun = [start + dilation - more for (start, _), more in zip(spans, padding)]
            x = x[(..., *(slice(first - start, end - start) for start, (first, end) in zip(begun, needed)))]
            x = x.contiguous(memory_format=self._layout)
            torch.maximum(x, least.to(x.dtype), out=x)
            spans = needed
        features = x.movedim(1, -1)
        logits = self._classify(features.reshape(-1, features.shape[-1]))
        return logits.unflatten(1, features.shape[:-1]).transpose(0, 1)

    def _classify(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (classes, voxels) of features (voxels, channels)."""
        count = _VOXELS_AT_ONCE.get(features.device.type, len(features))
        return torch.cat([self._pointwise_layers(part) for part in features.split(count)], dim=1)

    def _pointwise_layers(self, features: torch.Tensor) -> torch.Tensor:
        for weight, bias in self._pointwise[:-1]:
            features = functional.linear(features, weight, bias).relu_()
        weight, bias = self._pointwise[-1]
        return torch.addmm(bias[:, None], weight, features.t())
