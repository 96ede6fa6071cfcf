"""Conversion of a network to ONNX: from images to probabilities, with any batch and sides."""

import copy
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional
from torch.onnx import symbolic_helper

OPSET = 17
INPUT, OUTPUT = "images", "probabilities"
_TRACED_SIDE = 64  # of the image that is traced; a multiple of all networks'


class _Probabilities(nn.Module):
    """A network whose outputs are probabilities, and the uncertainty after them where it is predicted."""

    def __init__(self, network: nn.Module, number_of_classes: int):
        super().__init__()
        self._network = network
        variants = (getattr(network, name, None) for name in ("without_padding", "with_surroundings"))
        self._forward = next(filter(None, variants), network)
        self._number_of_classes = number_of_classes

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs = self._forward(images)
        logits, rest = outputs[:, : self._number_of_classes], outputs[:, self._number_of_classes :]
        values = logits.softmax(dim=1)
        return torch.cat([values, functional.softplus(rest)], dim=1) if rest.shape[1] else values


class _BlockwiseNormalization(nn.Module):
    """Instance normalization that sums over blocks first.

    OpenVINO and ONNX Runtime add up an instance value by value, in single precision: over 64³ voxels, probabilities of
    a 3D U-Net were up to 0.005 off. Sums over blocks of at most 8³ voxels, and over their means, lose 100 times less.

    Args:
        smallest: side of the network's smallest image, such that the blocks of larger images have whole numbers of
            voxels for all sides that the graph accepts.
    """

    def __init__(self, plain: nn.InstanceNorm2d | nn.InstanceNorm3d, smallest: int):
        super().__init__()
        self._smallest = smallest
        self._dimensions = 3 if isinstance(plain, nn.InstanceNorm3d) else 2
        self._scale, self._shift = plain.weight, plain.bias
        self._epsilon = plain.eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        block = int(x.shape[-1]) // self._smallest
        sides, shape = tuple(range(2, 2 + self._dimensions)), (-1, *[1] * self._dimensions)
        pool = functional.avg_pool3d if self._dimensions == 3 else functional.avg_pool2d
        parts = [some if block == 1 else pool(some, block) for some in (x, x * x)]
        mean, square = (part.mean(sides, keepdim=True) for part in parts)
        variance = functional.relu(square - mean * mean)  # at least 0 in single precision, too
        factor = self._scale.reshape(shape) / torch.sqrt(variance + self._epsilon)
        return x * factor + (self._shift.reshape(shape) - mean * factor)


def _with_blockwise_sums(network: nn.Module, smallest: int) -> nn.Module:
    """Return a copy of the network with `_BlockwiseNormalization`."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.InstanceNorm2d | nn.InstanceNorm3d):
                setattr(module, name, _BlockwiseNormalization(child, smallest))
    return network


@symbolic_helper.parse_args("v", "is", "s", "v")
def _pad(graph, images, amounts: list[int], mode: str, value):
    """Convert padding to one operator with constant amounts; PyTorch's own conversion computes them in the graph."""
    if mode != "replicate":
        raise ValueError(f"{mode} is no mode of padding in these networks")
    pairs = torch.tensor(amounts).reshape(-1, 2).flip(0)  # before and after each axis
    none = torch.zeros(2, dtype=torch.int64)  # along batch and channels
    in_order = torch.cat([none, pairs[:, 0], none, pairs[:, 1]])
    return graph.op("Pad", images, graph.op("Constant", value_t=in_order), mode_s="edge")


@contextmanager
def _own_padding() -> Iterator[None]:
    torch.onnx.register_custom_op_symbolic("aten::pad", _pad, OPSET)
    try:
        yield
    finally:
        torch.onnx.unregister_custom_op_symbolic("aten::pad", OPSET)


def sides_multiple(network: nn.Module) -> int:
    """Return the multiple that the sides of the exported network's images must be, at least twice it; 1 for any."""
    return getattr(network, "multiple", 1)


def to_onnx(
    network: nn.Module, dimensions: int, channels: int, number_of_classes: int, blockwise: bool = True
) -> bytes:
    """Convert a network to the bytes of an ONNX model.

    Its input is ``images``, float32 (n, channels, sides...), its output ``probabilities``, float32 (n, outputs,
    sides...). Networks that pad need sides that are multiples of `sides_multiple`. Those of valid convolutions answer
    half of the receptive field more at each end of an axis, as `DilatedNetwork.with_surroundings` does.

    Args:
        blockwise: whether instances are normalized with sums over blocks; quantization looks for the usual operator.
    """
    side = _TRACED_SIDE // (1 if dimensions == 2 else 2)
    network = network.cpu()
    if blockwise:
        network = _with_blockwise_sums(network, side // sides_multiple(network))
    module = _Probabilities(network, number_of_classes).eval()
    images = torch.zeros(1, channels, *[side] * dimensions)
    axes, answered = (
        {0: "batch"} | {2 + i: f"{name}_{axis}" for i, axis in enumerate("zyx"[-dimensions:])}
        for name in ("side", "answered" if hasattr(network, "with_surroundings") else "side")
    )
    file = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings(), _own_padding():
        # The other exporter (dynamo) needs two more packages. Instance normalization has no running statistics.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (images,),
            file,
            dynamo=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: axes, OUTPUT: answered},
            opset_version=OPSET,
        )
    return file.getvalue()
