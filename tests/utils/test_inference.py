import numpy as np
import pytest
import torch
from torch import nn

from networks.dilated import DilatedNetwork
from utils.inference import VolumePredictor

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
