"""The layers that networks are made of, in two and in three dimensions."""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Layers:
    """The classes of PyTorch that differ with the number of dimensions."""

    convolution: type[nn.Module]
    transposed_convolution: type[nn.Module]
    pooling: type[nn.Module]
    batch_normalization: type[nn.Module]
    instance_normalization: type[nn.Module]
    interpolation: str  # mode of `torch.nn.functional.interpolate`


LAYERS = {
    2: Layers(nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.BatchNorm2d, nn.InstanceNorm2d, "bilinear"),
    3: Layers(nn.Conv3d, nn.ConvTranspose3d, nn.MaxPool3d, nn.BatchNorm3d, nn.InstanceNorm3d, "trilinear"),
}
