"""Prediction of volumes of several channels, compared with a padded image that goes through the network at once."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from networks import ARCHITECTURES
from networks.dilated import DilatedNetwork
from utils.inference.torch_networks import TorchNetwork
from utils.inference.volumes import InferenceOptions, predictor_of

PADDING_VALUES = [-1.5, 0.25, 3.0]


def described(dimensions, pads, **traits):
    plain = {"planes": (0,), "fixed_size": False, "sample_size": 8, "predicts_uncertainty": False, "mirrored_axes": ()}
    return SimpleNamespace(dimensions=dimensions, pads=pads, number_of_classes=3, **{**plain, **traits})


def body_in_air(shape, box) -> np.ndarray:
    """Return a volume (3, *shape) of the padding values, with random values in `box`."""
    volume = np.empty((3, *shape), np.float32)
    volume[:] = np.float32(PADDING_VALUES).reshape(-1, 1, 1, 1)
    inside = (slice(None), *(slice(*pair) for pair in box))
    volume[inside] = np.random.default_rng(0).normal(size=volume[inside].shape)
    return volume


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("box", [((4, 9), (10, 18), (3, 6)), ((0, 12), (0, 24), (0, 20)), ((0, 0), (0, 0), (0, 0))])
def test_dilated_networks_skip_empty_space_exactly(dimensions, box):
    torch.manual_seed(0)
    network = DilatedNetwork(dimensions, 19, 3, features=8, channels=3)
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(2, 3, *[25] * dimensions) + 0.3)
    volume = body_in_air((12, 24, 20), box)
    margins = [0 if dimensions == 2 else 9, 9, 9]
    padded = np.stack([
        np.pad(one, [(margin, margin) for margin in margins], constant_values=value)
        for one, value in zip(volume, PADDING_VALUES)
    ])  # fmt: skip
    network.eval()
    with torch.no_grad():
        image = torch.from_numpy(padded)
        logits = network(image.movedim(1, 0)).movedim(0, 1) if dimensions == 2 else network(image[None])[0]
    predict = predictor_of(TorchNetwork(network, torch.device("cpu"), 3), described(dimensions, pads=False))
    np.testing.assert_allclose(predict(volume, PADDING_VALUES), logits.softmax(dim=0).numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("channels", [1, 4])
def test_a_channel_costs_the_first_layer_alone(name, channels):
    architecture = ARCHITECTURES[name]
    one, several = (architecture.build(architecture.receptive_field, 3, 4, channels=count) for count in (1, channels))
    shapes = [[tuple(values.shape) for values in network.state_dict().values()] for network in (one, several)]
    assert [place for place, pair in enumerate(zip(*shapes)) if pair[0] != pair[1]] == ([] if channels == 1 else [0])
    side = architecture.input_size(8, architecture.receptive_field)
    logits = several.eval()(torch.zeros(2, channels, *[side] * architecture.dimensions))
    assert logits.shape == (2, 3, *[8] * architecture.dimensions)


def test_windows_and_views_of_several_channels_equal_those_of_each_window():
    """A pointwise network: its answer at a voxel depends on the values of all channels there, however it is cut."""
    network = torch.nn.Conv2d(3, 3, 1)
    volume = body_in_air((4, 21, 13), ((1, 3), (4, 20), (2, 9)))
    with torch.no_grad():
        expected = network(torch.from_numpy(volume).movedim(1, 0)).softmax(dim=1).movedim(1, 0).numpy()
    for views in (1, 4):
        traits = described(2, pads=True, fixed_size=True, mirrored_axes=(1, 2))
        predict = predictor_of(TorchNetwork(network, torch.device("cpu"), 3), traits, InferenceOptions(views=views))
        mask = np.zeros(volume.shape[1:], bool)
        mask[1, 5:9] = True
        np.testing.assert_allclose(predict(volume, PADDING_VALUES), expected, atol=1e-5)
        np.testing.assert_allclose(predict(volume, PADDING_VALUES, mask)[:, mask], expected[:, mask], atol=1e-5)
