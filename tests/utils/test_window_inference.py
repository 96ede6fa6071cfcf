import math

import numpy as np
import pytest
import torch
from torch import nn

from networks.dilated import DilatedNetwork
from networks.unet import UNet
from utils.window_inference import WindowPredictor, activation_bytes, place_windows

CPU = torch.device("cpu")
SHAPES = [(9, 14, 11), (1, 13, 8), (3, 4, 2), (5, 30, 7)]  # windows of 8 fit in some axes, in none, in one
ALWAYS, NEVER = 2**40, 0  # bytes: everything in one pass, nothing


def voxelwise_network() -> nn.Module:
    """A network whose answer at a voxel depends on nothing but that voxel."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(1, 4, 1), nn.Tanh(), nn.Conv3d(4, 3, 1))


def random_volume(shape) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def direct(network: nn.Module, volume: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network.eval()(torch.from_numpy(volume)[None, None]).softmax(dim=1)[0].numpy()


def test_weights_are_a_gaussian_scaled_to_sum_to_one_at_every_voxel():
    # Windows of 4: sigma half a voxel, so the inner two weigh e^-0.5 and the outer two e^-4.5.
    inner, outer = math.exp(-0.5), math.exp(-4.5)
    (first, a), (second, b) = place_windows(6, 4, 0.5)
    assert (first, second) == (0, 2)
    share = inner / (inner + outer)
    np.testing.assert_allclose(a, [1, 1, share, 1 - share], rtol=1e-6)
    np.testing.assert_allclose(b, [1 - share, share, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(share, 0.982014, rtol=1e-6)  # 1 / (1 + e^-4)


@pytest.mark.parametrize("extent", [1, 4, 5, 7, 23, 64])
@pytest.mark.parametrize(("side", "overlap"), [(1, 0.5), (2, 0.5), (4, 0.0), (4, 0.5), (4, 0.9)])
def test_windows_cover_every_voxel_and_overlap_enough(extent, side, overlap):
    side = min(side, extent)
    windows = place_windows(extent, side, overlap)
    total = np.zeros(extent)
    for start, weights in windows:
        assert 0 <= start <= extent - side
        assert (weights > 0).all()
        total[start : start + side] += weights
    np.testing.assert_allclose(total, 1, atol=1e-6)
    starts = [start for start, _ in windows]
    assert all(0 < gap <= max(1, side * (1 - overlap)) for gap in np.diff(starts))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("limit", [ALWAYS, NEVER])
@pytest.mark.parametrize(("window", "overlap"), [(8, 0.5), (5, 0.3), (None, 0.0)])
def test_windows_of_a_voxelwise_network_give_the_direct_answer(shape, limit, window, overlap):
    network, volume = voxelwise_network(), random_volume(shape)
    predict = WindowPredictor(network, 0, window, 3, CPU, overlap, limit)
    probabilities = predict(volume, outside=-2.0)
    assert probabilities.dtype == np.float32
    assert probabilities.flags.c_contiguous
    np.testing.assert_allclose(probabilities, direct(network, volume), atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_network_that_pads_nothing_answers_alike_however_the_volume_is_cut(shape):
    torch.manual_seed(0)
    network, margin, outside = DilatedNetwork(3, 19, 3, features=4), 9, -1.5
    network(torch.randn(2, 1, 25, 25, 25) + 0.3)  # for batch normalization to have seen something
    volume = random_volume(shape)
    expected = direct(network, np.pad(volume, margin, constant_values=outside))
    whole = activation_bytes(network, [side + 2 * margin for side in shape])
    for limit in (whole, whole // 2, whole // 3):
        probabilities = WindowPredictor(network, margin, None, 3, CPU, 0.0, limit)(volume, outside)
        np.testing.assert_allclose(probabilities, expected, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("limit", [ALWAYS, NEVER])
def test_probabilities_of_a_padding_network_sum_to_one(shape, limit):
    torch.manual_seed(0)
    predict = WindowPredictor(UNet(3, 3, features=2), 0, 8, 3, CPU, 0.5, limit)
    probabilities = predict(random_volume(shape), -1.0)
    assert probabilities.shape == (3, *shape)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)


class Recorder(nn.Module):
    """Classifies nothing; remembers what it was asked, and how."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def forward(self, image):
        if image.device.type != "meta":
            self.asked.append((image, self.training, torch.is_inference_mode_enabled()))
        return torch.zeros(len(image), 2, *image.shape[2:], device=image.device)


def test_a_volume_smaller_than_the_window_lies_in_its_middle_with_the_outside_around():
    recorder = Recorder().train()
    volume = random_volume((1, 3, 4))
    WindowPredictor(recorder, 0, 4, 2, CPU, 0.5, NEVER)(volume, outside=-2.0)
    ((image, training, inference),) = recorder.asked
    assert (training, inference) == (False, True)
    expected = np.pad(volume, [(1, 2), (0, 1), (0, 0)], constant_values=-2)
    np.testing.assert_array_equal(image[0, 0].numpy(), expected)


def test_memory_decides_between_one_pass_and_windows():
    network, shape = Recorder(), (6, 12, 8)
    needed = activation_bytes(network, shape)
    assert needed == 2 * 4 * math.prod(shape) * (1 + 2)  # float32; one channel in, two out
    for limit, sides in ((needed, shape), (needed - 1, (4, 4, 4))):
        network.asked.clear()
        WindowPredictor(network, 0, 4, 2, CPU, 0.5, limit)(random_volume(shape), 0.0)
        assert {tuple(image.shape[2:]) for image, *_ in network.asked} == {sides}


def test_many_windows_run_in_several_calls_with_the_same_answer(monkeypatch):
    torch.manual_seed(0)
    predict = WindowPredictor(UNet(3, 3, features=2), 0, 8, 3, CPU, 0.5, NEVER)
    volume = random_volume((9, 14, 11))
    together = predict(volume, 0.0)
    monkeypatch.setattr("utils.window_inference._VOXELS_AT_ONCE", 1)
    np.testing.assert_allclose(predict(volume, 0.0), together, atol=1e-5)


def test_asking_for_memory_leaves_the_network_as_it_was():
    network = voxelwise_network()
    activation_bytes(network, (4, 4, 4))
    assert {parameter.device for parameter in network.parameters()} == {CPU}
    assert not any(module._forward_hooks for module in network.modules())
