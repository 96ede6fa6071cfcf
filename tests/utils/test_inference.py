import numpy as np
import pytest
import torch
from torch import nn

from networks.dilated import DilatedNetwork
from networks.resnet import ResNet
from networks.unet import UNet
from utils.inference import VolumePredictor, predictor_of

MARGIN = 9


@pytest.fixture
def network():
    """A dilated network whose batch normalization has seen something."""
    torch.manual_seed(0)
    network = DilatedNetwork(2, 19, 3)
    with torch.no_grad():
        for _ in range(5):
            network(torch.randn(4, 1, 30, 30) + 0.3)
    return network.eval()


def test_a_volume_is_what_patches_say_voxel_by_voxel(network):
    rng = np.random.default_rng(0)
    volume = rng.normal(size=(5, 9, 12)).astype(np.float32)
    probabilities = VolumePredictor(network, MARGIN, (0, 1, 2), 3, torch.device("cpu"))(volume, outside=-1.5)
    padded = np.pad(volume, MARGIN, constant_values=-1.5)
    for z, y, x in rng.integers((5, 9, 12), size=(20, 3)):
        patches = [
            padded[z + MARGIN, y : y + 19, x : x + 19],
            padded[z : z + 19, y + MARGIN, x : x + 19],
            padded[z : z + 19, y : y + 19, x + MARGIN],
        ]
        with torch.no_grad():
            logits = torch.cat([network(torch.from_numpy(patch.copy())[None, None]) for patch in patches])
        expected = logits.softmax(dim=1).mean(dim=0).flatten().numpy()
        np.testing.assert_allclose(probabilities[:, z, y, x], expected, atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)


class Recorder(nn.Module):
    """Classifies nothing; remembers what it was asked, and how."""

    def __init__(self):
        super().__init__()
        self.slices = []
        self.modes = set()

    def forward(self, image):
        self.slices += [tuple(one.shape[-2:]) for one in image]
        self.modes.add((self.training, torch.is_inference_mode_enabled()))
        return torch.zeros(len(image), 2, *image.shape[-2:])


@pytest.mark.parametrize(("planes", "count"), [((0,), 4), ((0, 1, 2), 4 + 5 + 6)])
def test_each_slice_of_each_plane_runs_once_in_inference_mode(planes, count):
    recorder = Recorder().train()
    VolumePredictor(recorder, 0, planes, 2, torch.device("cpu"))(np.zeros((4, 5, 6), np.float32), 0.0)
    assert len(recorder.slices) == count
    assert recorder.modes == {(False, True)}


def test_large_slices_run_in_several_calls_with_the_same_answer(network, monkeypatch):
    volume = np.random.default_rng(1).normal(size=(6, 8, 10)).astype(np.float32)
    predict = VolumePredictor(network, MARGIN, (0, 1, 2), 3, torch.device("cpu"))
    together = predict(volume, 0.0)
    monkeypatch.setattr("utils.inference._PIXELS_AT_ONCE", 1)
    np.testing.assert_allclose(predict(volume, 0.0), together, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 17, 6), (5, 9, 12), (2, 1, 3)])
def test_padding_networks_of_planes_read_whole_slices(shape):
    torch.manual_seed(0)
    network = ResNet(2, 3, features=2)
    volume = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    probabilities = VolumePredictor(network, 0, (0,), 3, torch.device("cpu"))(volume, 0.0)
    with torch.no_grad():
        expected = network(torch.from_numpy(volume)[:, None]).softmax(dim=1)
    np.testing.assert_allclose(probabilities, expected.movedim(1, 0).numpy(), atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("limit", [0, 2**40])
@pytest.mark.parametrize(
    ("make", "dimensions", "pads"),
    [
        (lambda dimensions: DilatedNetwork(dimensions, 19, 3, features=2), 2, False),
        (lambda dimensions: DilatedNetwork(dimensions, 19, 3, features=2), 3, False),
        (lambda dimensions: UNet(dimensions, 3, features=2), 2, True),
        (lambda dimensions: UNet(dimensions, 3, features=2, deep_supervision=True), 3, True),
        (lambda dimensions: ResNet(dimensions, 3, features=2), 3, True),
    ],
)
def test_every_network_finds_its_predictor(make, dimensions, pads, limit):
    predict = predictor_of(
        make(dimensions),
        torch.device("cpu"),
        dimensions=dimensions,
        pads=pads,
        margin=0 if pads else MARGIN,
        planes=(0, 1, 2),
        window=8,
        number_of_classes=3,
        memory_limit_bytes=limit,
    )
    probabilities = predict(np.random.default_rng(3).normal(size=(2, 9, 5)).astype(np.float32), -1.0)
    assert probabilities.shape == (3, 2, 9, 5)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)
