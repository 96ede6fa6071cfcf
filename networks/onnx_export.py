"""Conversion of a network to ONNX: from images to probabilities, with any batch and sides."""

import io
import warnings

import torch
from torch import nn
from torch.nn import functional

OPSET = 17
INPUT, OUTPUT = "images", "probabilities"
_TRACED_SIDE = 64  # of the image that is traced, beside what valid convolutions take away; a multiple of all networks'


class _Probabilities(nn.Module):
    """A network whose outputs are probabilities, and the uncertainty after them where it is predicted."""

    def __init__(self, network: nn.Module, number_of_classes: int):
        super().__init__()
        self._network = network
        self._number_of_classes = number_of_classes

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs = getattr(self._network, "without_padding", self._network)(images)
        logits, rest = outputs[:, : self._number_of_classes], outputs[:, self._number_of_classes :]
        values = logits.softmax(dim=1)
        return torch.cat([values, functional.softplus(rest)], dim=1) if rest.shape[1] else values


def sides_multiple(network: nn.Module) -> int:
    """Return the multiple that the sides of the exported network's images must be, at least twice it; 1 for any."""
    return getattr(network, "multiple", 1)


def to_onnx(network: nn.Module, dimensions: int, channels: int, number_of_classes: int, margin: int) -> bytes:
    """Convert a network to the bytes of an ONNX model.

    Its input is ``images``, float32 (n, channels, sides...), its output ``probabilities``, float32 (n, outputs,
    sides...). Networks that pad need sides that are multiples of `sides_multiple`; those of valid convolutions take
    `margin` voxels away at each end of an axis.
    """
    module = _Probabilities(network.cpu(), number_of_classes).eval()
    images = torch.zeros(1, channels, *[_TRACED_SIDE // (1 if dimensions == 2 else 2) + 2 * margin] * dimensions)
    axes, answered = (
        {0: "batch"} | {2 + i: f"{name}_{axis}" for i, axis in enumerate("zyx"[-dimensions:])}
        for name in ("side", "answered" if margin else "side")
    )
    file = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
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
