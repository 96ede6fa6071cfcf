"""Tests of 3D convolutions: the fast path for a single image agrees with PyTorch's own implementation."""

import pytest
import torch
from torch.nn import functional

from networks.layers import Convolution3d


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize(
    "options", [{}, {"padding": 1}, {"stride": 2, "padding": 1}, {"dilation": 4}, {"dilation": 2, "padding": 2}]
)
def test_convolutions_and_gradients_agree_with_double_precision(images, options, layout):
    torch.manual_seed(0)
    layer = Convolution3d(4, 6, 3, **options).to(memory_format=layout)
    values = torch.randn(images, 4, 11, 9, 10).to(memory_format=layout).requires_grad_()
    exact = values.detach().double().requires_grad_()
    weight = layer.weight.detach().double().requires_grad_()

    result = layer(values)
    expected = functional.conv3d(exact, weight, layer.bias.detach().double(), **options)
    weights_of_sum = torch.randn_like(expected)
    (result * weights_of_sum).sum().backward()
    (expected * weights_of_sum).sum().backward()

    torch.testing.assert_close(result.double(), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(values.grad.double(), exact.grad, rtol=0, atol=1e-4)
    torch.testing.assert_close(layer.weight.grad.double(), weight.grad, rtol=0, atol=1e-3)


def test_mixed_precision_and_compilation_are_supported():
    layer = Convolution3d(1, 2, 3)
    image = torch.randn(1, 1, 5, 5, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(image).dtype == torch.bfloat16
    torch.testing.assert_close(torch.compile(layer, backend="eager")(image), layer(image))
