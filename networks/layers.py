"""Layers of the networks, in two and three dimensions."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


def convolve_volumes(
    images: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Sequence[int] = (1, 1, 1),
    padding: Sequence[int] = (0, 0, 0),
    dilation: Sequence[int] = (1, 1, 1),
) -> torch.Tensor:
    """Return the result of `torch.nn.functional.conv3d`, using oneDNN also for a single image on a CPU.

    For small single images, PyTorch uses its own implementation instead of oneDNN, which is two to four times slower.
    """
    if (
        not torch.jit.is_tracing()  # for another engine
        and len(images) == 1
        and images.device.type == "cpu"
        and images.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")  # neither autocast nor torch.compile supports this operator
        and not torch.compiler.is_compiling()
    ):
        return torch.mkldnn_convolution(images, weight, bias, padding, stride, dilation, 1)
    return functional.conv3d(images, weight, bias, stride, padding, dilation)


class Convolution3d(nn.Conv3d):
    """A 3D convolution with zero padding that uses `convolve_volumes`."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return convolve_volumes(images, self.weight, self.bias, self.stride, self.padding, self.dilation)


@dataclass(frozen=True)
class Layers:
    """The PyTorch classes that depend on the number of dimensions."""

    convolution: type[nn.Module]
    transposed_convolution: type[nn.Module]
    pooling: type[nn.Module]
    batch_normalization: type[nn.Module]
    instance_normalization: type[nn.Module]
    interpolation: str  # mode of `torch.nn.functional.interpolate`


LAYERS = {
    2: Layers(nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.BatchNorm2d, nn.InstanceNorm2d, "bilinear"),
    3: Layers(Convolution3d, nn.ConvTranspose3d, nn.MaxPool3d, nn.BatchNorm3d, nn.InstanceNorm3d, "trilinear"),
}
