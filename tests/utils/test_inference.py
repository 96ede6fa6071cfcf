import math

import numpy as np
import pytest
import torch
from torch import nn

from networks.dilated import DilatedNetwork
from networks.resnet import ResNet
from networks.unet import UNet
from utils.activation_memory import activation_bytes
from utils.inference import VolumePredictor, predictor_of

CPU = torch.device("cpu")
MARGIN = 9  # of the dilated networks here
SHAPES = [(9, 14, 11), (1, 13, 8), (3, 4, 2), (5, 30, 7)]  # windows of 8 fit in all axes, in some, in none
ALWAYS, NEVER = math.inf, 0  # bytes: everything in one pass, nothing


@pytest.fixture
def network():
    """A dilated network whose batch normalization has seen something."""
    return dilated(2)


def dilated(dimensions: int) -> nn.Module:
    torch.manual_seed(0)
    network = DilatedNetwork(dimensions, 19, 3, features=8)
    with torch.no_grad():
        for _ in range(5):
            network(torch.randn(2, 1, *[25] * dimensions) + 0.3)
    return network.eval()


def voxelwise() -> nn.Module:
    """A network whose answer at a voxel depends on nothing but that voxel."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(1, 4, 1), nn.Tanh(), nn.Conv3d(4, 3, 1))


def random_volume(shape) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def direct(network: nn.Module, volume: np.ndarray) -> np.ndarray:
    """What a network of volumes says of a whole volume."""
    with torch.no_grad():
        return network.eval()(torch.from_numpy(volume)[None, None]).softmax(dim=1)[0].numpy()


class Recorder(nn.Module):
    """Classifies nothing; remembers what it was asked, and how."""

    def __init__(self, margin: int = 0):
        super().__init__()
        self.margin = margin
        self.images = []
        self.modes = set()

    def forward(self, image):
        self.images += list(image[:, 0])
        self.modes.add((self.training, torch.is_inference_mode_enabled()))
        return torch.zeros(len(image), 2, *(side - 2 * self.margin for side in image.shape[2:]))

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [tuple(image.shape) for image in self.images]


def test_a_volume_is_what_patches_say_voxel_by_voxel(network):
    rng = np.random.default_rng(0)
    volume = rng.normal(size=(5, 9, 12)).astype(np.float32)
    probabilities = VolumePredictor(network, MARGIN, (0, 1, 2), 3, CPU)(volume, outside=-1.5)
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


@pytest.mark.parametrize(("planes", "count"), [((0,), 4), ((0, 1, 2), 4 + 5 + 6)])
def test_each_slice_of_each_plane_runs_once_in_inference_mode(planes, count):
    recorder = Recorder().train()
    VolumePredictor(recorder, 0, planes, 2, CPU)(np.zeros((4, 5, 6), np.float32), 0.0)
    assert len(recorder.images) == count
    assert recorder.modes == {(False, True)}


def test_large_slices_run_in_several_calls_with_the_same_answer(network, monkeypatch):
    volume = random_volume((6, 8, 10))
    predict = VolumePredictor(network, MARGIN, (0, 1, 2), 3, CPU)
    together = predict(volume, 0.0)
    monkeypatch.setattr("utils.inference._VOXELS_AT_ONCE", 1)
    np.testing.assert_allclose(predict(volume, 0.0), together, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 17, 6), (5, 9, 12), (2, 1, 3)])
def test_padding_networks_of_planes_can_read_whole_slices(shape):
    torch.manual_seed(0)
    network = ResNet(2, 3, features=2)
    volume = random_volume(shape)
    probabilities = VolumePredictor(network, 0, (0,), 3, CPU)(volume, 0.0)
    with torch.no_grad():
        expected = network(torch.from_numpy(volume)[:, None]).softmax(dim=1)
    np.testing.assert_allclose(probabilities, expected.movedim(1, 0).numpy(), atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("limit", [ALWAYS, NEVER])
@pytest.mark.parametrize(("window", "overlap"), [(8, 0.5), (5, 0.3), (None, 0.0)])
def test_windows_of_a_voxelwise_network_give_the_direct_answer(shape, limit, window, overlap):
    network, volume = voxelwise(), random_volume(shape)
    probabilities = VolumePredictor(network, 0, None, 3, CPU, window, overlap, limit)(volume, outside=-2.0)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, direct(network, volume), atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_network_that_pads_nothing_answers_alike_however_the_volume_is_cut(shape):
    network, outside = dilated(3), -1.5
    volume = random_volume(shape)
    expected = direct(network, np.pad(volume, MARGIN, constant_values=outside))
    whole = activation_bytes(network, [side + 2 * MARGIN for side in shape])
    for limit in (ALWAYS, whole, whole // 2, whole // 3):
        probabilities = VolumePredictor(network, MARGIN, None, 3, CPU, memory_limit_bytes=limit)(volume, outside)
        np.testing.assert_allclose(probabilities, expected, atol=1e-5)


@pytest.mark.parametrize(("planes", "shape"), [(None, (4, 4, 4)), ((0,), (4, 4))])
def test_an_image_smaller_than_the_window_lies_in_its_middle_with_the_outside_around(planes, shape):
    recorder = Recorder()
    volume = random_volume((1, 3, 4))
    VolumePredictor(recorder, 0, planes, 2, CPU, 4, 0.5, NEVER)(volume, outside=-2.0)
    (image,) = recorder.images
    expected = np.pad(volume, [(1, 2), (0, 1), (0, 0)], constant_values=-2)
    np.testing.assert_array_equal(image.numpy(), expected if planes is None else expected[1])


@pytest.mark.parametrize("planes", [None, (0,), (2,)])
def test_small_volumes_come_back_from_the_middle_of_the_window(planes):
    """A network that tells the image itself: its probabilities are those of the image's values."""
    network = nn.Conv3d(1, 2, 1) if planes is None else nn.Conv2d(1, 2, 1)
    volume = random_volume((3, 5, 2))
    small = VolumePredictor(network, 0, planes, 2, CPU, 8, 0.5, NEVER)(volume, -2.0)
    np.testing.assert_allclose(small, VolumePredictor(network, 0, planes, 2, CPU)(volume, -2.0), atol=1e-6)


def test_memory_decides_between_one_pass_and_windows():
    shape = (6, 12, 8)
    needed = activation_bytes(Recorder(), shape)
    assert needed == 3 * 4 * math.prod(shape) * (1 + 2)  # float32; one channel in, two out
    for limit, sides in ((needed, shape), (needed - 1, (4, 4, 4))):
        recorder = Recorder()
        VolumePredictor(recorder, 0, None, 2, CPU, 4, 0.5, limit)(random_volume(shape), 0.0)
        assert set(recorder.shapes) == {sides}


@pytest.mark.parametrize(
    ("dimensions", "pads", "fixed_size", "shape"),
    [
        (2, False, False, (12 + 2 * MARGIN, 8 + 2 * MARGIN)),
        (3, False, False, (6 + 2 * MARGIN, 12 + 2 * MARGIN, 8 + 2 * MARGIN)),
        (2, True, False, (12, 8)),
        (3, True, False, (6, 12, 8)),
        (2, True, True, (4, 4)),
        (3, True, True, (4, 4, 4)),
    ],
)
def test_a_network_is_given_what_suits_it(dimensions, pads, fixed_size, shape):
    recorder = Recorder(0 if pads else MARGIN)
    predict = predictor_of(
        recorder,
        CPU,
        dimensions=dimensions,
        pads=pads,
        fixed_size=fixed_size,
        margin=recorder.margin,
        planes=(0,),
        window=4,
        number_of_classes=2,
    )
    probabilities = predict(random_volume((6, 12, 8)), 0.0)
    assert set(recorder.shapes) == {shape}
    np.testing.assert_allclose(probabilities, 0.5, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("limit", [ALWAYS, NEVER])
@pytest.mark.parametrize("planes", [None, (0, 1, 2)])
@pytest.mark.parametrize("network_class", [UNet, ResNet])
def test_probabilities_of_padding_networks_sum_to_one(network_class, planes, limit, shape):
    torch.manual_seed(0)
    network = network_class(3 if planes is None else 2, 3, features=2)
    probabilities = VolumePredictor(network, 0, planes, 3, CPU, 8, 0.5, limit)(random_volume(shape), -1.0)
    assert probabilities.shape == (3, *shape)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)


def test_what_is_deeply_supervised_is_predicted_by_its_finest_level():
    network = UNet(3, 3, features=2, deep_supervision=True).train()
    assert VolumePredictor(network, 0, None, 3, CPU)(random_volume((2, 9, 5)), -1.0).shape == (3, 2, 9, 5)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("region", [(1, 6, 2, 9, 0, 5), (0, 9, 0, 14, 0, 11), (8, 9, 3, 4, 10, 11)])
def test_a_region_is_what_the_whole_volume_says_there(dimensions, region):
    """Voxels around the region are looked at where there are some; beyond the volume is what is outside."""
    planes = (0, 1, 2) if dimensions == 2 else None
    predict = VolumePredictor(dilated(dimensions), MARGIN, planes, 3, CPU)
    volume = random_volume((9, 14, 11))
    box = tuple(slice(*pair) for pair in zip(region[::2], region[1::2]))
    whole = predict(volume, -1.5)
    np.testing.assert_allclose(predict(volume, -1.5, box), whole[(slice(None), *box)], atol=1e-5)


def test_beyond_the_box_of_a_mask_all_is_background():
    predict = VolumePredictor(dilated(2), MARGIN, (0, 1, 2), 3, CPU)
    volume = random_volume((9, 14, 11))
    mask = np.zeros(volume.shape, bool)
    mask[2:5, 3:8, 4] = mask[4, 7, 9] = True
    box = (slice(None), slice(2, 5), slice(3, 8), slice(4, 10))
    probabilities, whole = predict.within(volume, 0.0, mask), predict(volume, 0.0)
    np.testing.assert_allclose(probabilities[box], whole[box], atol=1e-5)
    probabilities[box] = np.array([1, 0, 0])[:, None, None, None]
    assert (probabilities[0] == 1).all()
    assert (probabilities[1:] == 0).all()
    assert (predict.within(volume, 0.0, np.zeros_like(mask))[0] == 1).all()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_channel_beyond_the_classes_is_an_uncertainty(dimensions):
    """It does not take part in the softmax, and is never negative: log(1 + exp(raw)), averaged as probabilities are."""
    network = dilated(dimensions)
    planes = (0,) if dimensions == 2 else None
    volume = random_volume((5, 8, 7))
    values = VolumePredictor(network, MARGIN, planes, 2, CPU, predicts_uncertainty=True)(volume, 0.0)
    padded = np.pad(volume, [(0 if dimensions == 2 else MARGIN,) * 2, (MARGIN,) * 2, (MARGIN,) * 2])
    with torch.no_grad():
        if dimensions == 2:
            logits = network(torch.from_numpy(padded)[:, None]).movedim(1, 0).numpy()
        else:
            logits = network(torch.from_numpy(padded)[None, None])[0].numpy()
    np.testing.assert_allclose(values[2], np.log1p(np.exp(logits[2])), atol=1e-5)
    np.testing.assert_allclose(values[0], 1 / (1 + np.exp(logits[1] - logits[0])), atol=1e-5)
    np.testing.assert_allclose(values[:2].sum(axis=0), 1, atol=1e-5)
