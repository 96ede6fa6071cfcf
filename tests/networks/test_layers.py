"""Convolutions of volumes: the fast way for a single image answers as PyTorch's own does."""

import pytest
import torch
from torch.nn import functional

from networks.layers import Convolution3d


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize(
    "options", [{}, {"padding": 1}, {"stride": 2, "padding": 1}, {"dilation": 4}, {"dilation": 2, "padding": 2}]
)
def test_images_are_convolved_as_in_double_precision_and_so_are_gradients(images, options, layout):
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


def test_mixed_precision_and_compilation_take_their_own_way():
    layer = Convolution3d(1, 2, 3)
    image = torch.randn(1, 1, 5, 5, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(image).dtype == torch.bfloat16
    torch.testing.assert_close(torch.compile(layer, backend="eager")(image), layer(image))
