"""Conversion to ONNX: the graph answers as the network does."""

import numpy as np
import pytest
import torch

from networks.dilated import DilatedNetwork
from networks.onnx_export import to_onnx
from networks.unet import UNet
from utils.inference.onnx_engines import open_with


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_window_that_is_mostly_air_is_normalized_as_in_double_precision(engine):
    pytest.importorskip(engine)
    torch.manual_seed(0)
    network = UNet(3, 2, features=8).eval()
    image = np.random.default_rng(0).normal(size=(1, 1, 64, 64, 64)).astype(np.float32)
    image[..., :40] = -3  # sums of so many equal values lose digits
    content = to_onnx(network, 3, 1, 2)
    answers = open_with(engine, content, 16, 2, "fp32")(image)
    with torch.no_grad():
        expected = network.double()(torch.from_numpy(image).double()).softmax(1).numpy()
    assert np.abs(answers - expected).max() < 1e-4


@pytest.mark.parametrize(("dimensions", "sides"), [(2, (16, 40)), (2, (64, 24)), (3, (16, 24, 40)), (3, (32, 16, 16))])
def test_any_sides_that_are_multiples_are_answered(dimensions, sides):
    pytest.importorskip("openvino")
    torch.manual_seed(0)
    network = UNet(dimensions, 3, features=4).eval()
    image = np.random.default_rng(0).normal(size=(2, 1, *sides)).astype(np.float32)
    answers = open_with("openvino", to_onnx(network, dimensions, 1, 3), 16, 2, "fp32")(image)
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).softmax(1).numpy()
    np.testing.assert_allclose(answers, expected, atol=1e-5)


@pytest.mark.parametrize(("dimensions", "channels"), [(2, 1), (2, 2), (3, 1)])
def test_a_dilated_network_answers_an_image_and_all_voxels_that_see_it(dimensions, channels):
    pytest.importorskip("openvino")
    torch.manual_seed(0)
    network = DilatedNetwork(dimensions, 19, 3, features=4, channels=channels).eval()
    values = np.array([-1.0, 0.5], np.float32)[:channels].reshape(1, -1, *[1] * dimensions)
    image = np.tile(values, (2, 1, *[7] * dimensions))
    inside = (..., *[slice(1, -1)] * dimensions)  # the outermost voxels have the padding values
    image[inside] = np.random.default_rng(0).normal(size=image[inside].shape)
    answers = open_with("openvino", to_onnx(network, dimensions, channels, 3), 3, 2, "fp32")(image)
    padded = np.tile(values, (2, 1, *[7 + 4 * 9] * dimensions))
    padded[(..., *[slice(18, -18)] * dimensions)] = image
    with torch.no_grad():
        expected = network(torch.from_numpy(padded)).softmax(1).numpy()
    assert answers.shape == (2, 3, *[7 + 18] * dimensions)
    np.testing.assert_allclose(answers, expected, atol=1e-5)
