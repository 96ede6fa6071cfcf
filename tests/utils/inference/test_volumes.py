"""Inference on whole volumes, compared with a simple reference: every patch, slice or window one at a time."""

import functools
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from base.planes import planes_of
from networks import dilated_inference
from networks.dilated import DilatedNetwork
from networks.resnet import ResNet
from networks.unet import UNet
from utils.inference.activation_memory import activation_bytes
from utils.inference.torch_networks import VOXELS_AT_ONCE, TorchNetwork
from utils.inference.volumes import InferenceOptions, predictor_of
from utils.inference.windows import place_windows

CPU = torch.device("cpu")
SHAPES = [(9, 14, 11), (1, 13, 8), (3, 4, 2), (5, 30, 7)]  # windows of 8 fit along all axes, some, none
ALWAYS, NEVER = math.inf, 0  # memory limits in bytes: always one pass, never
PADDING_VALUE = -1.5
ALL_PLANES = (0, 1, 2)


@functools.cache
def dilated(dimensions: int, receptive_field: int = 19) -> nn.Module:
    """Return a dilated network whose batch normalization has running statistics."""
    torch.manual_seed(0)
    network = DilatedNetwork(dimensions, receptive_field, 3, features=8)
    with torch.no_grad():
        for _ in range(5):
            network(torch.randn(2, 1, *[receptive_field + 6] * dimensions) + 0.3)
    return network.eval()


def of_slices(network: nn.Module, planes=ALL_PLANES, classes: int = 3, **settings):
    return _predictor(network, 2, planes, classes, settings)


def of_volumes(network: nn.Module, classes: int = 3, **settings):
    return _predictor(network, 3, (), classes, settings)


def _predictor(network, dimensions, planes, classes, settings):
    traits = {"pads": True, "fixed_size": False, "sample_size": 8, "predicts_uncertainty": False}
    options = {name: value for name, value in settings.items() if name not in traits}
    traits |= {name: value for name, value in settings.items() if name in traits}
    described = SimpleNamespace(dimensions=dimensions, planes=planes, number_of_classes=classes, **traits)
    network = TorchNetwork(network, CPU, classes, options.pop("precision", "fp32"))
    predict = predictor_of(network, described, InferenceOptions(**options))
    return lambda volume, padding_value, mask=None: predict(volume[None], [padding_value], mask)


def random_volume(shape) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def body_in_air(shape, *boxes) -> np.ndarray:
    """Return a volume of the padding value with random values in `boxes` (z, z end, y, y end, x, x end)."""
    volume = np.full(shape, PADDING_VALUE, np.float32)
    for z, zz, y, yy, x, xx in boxes:
        volume[z:zz, y:yy, x:xx] = random_volume(shape)[z:zz, y:yy, x:xx]
    return volume


def direct(network: nn.Module, volume: np.ndarray) -> np.ndarray:
    """Return the probabilities of a 3D network for a whole volume in one pass."""
    with torch.no_grad():
        return network.eval()(torch.from_numpy(volume)[None, None]).softmax(dim=1)[0].numpy()


def padded_reference(network: nn.Module, volume: np.ndarray, planes, receptive_field: int) -> np.ndarray:
    """Return the probabilities of a valid (unpadded) network for a padded volume, one slice at a time in 2D."""
    margin = receptive_field // 2
    if planes is None:
        return direct(network, np.pad(volume, margin, constant_values=PADDING_VALUE))
    total = 0
    planes = planes_of(volume.shape, planes)
    for axis in planes:
        amounts = [(0, 0) if other == axis else (margin, margin) for other in range(3)]
        slices = np.moveaxis(np.pad(volume, amounts, constant_values=PADDING_VALUE), axis, 0)
        with torch.no_grad():
            logits = [network(torch.from_numpy(one.copy())[None, None]) for one in slices]
        total = total + np.moveaxis(torch.cat(logits).softmax(dim=1).movedim(1, 0).numpy(), 1, axis + 1)
    return total / len(planes)


class Recorder(nn.Module):
    """Network that returns equal logits and records its inputs and modes."""

    def __init__(self):
        super().__init__()
        self.images = []
        self.modes = set()

    def forward(self, image):
        self.images += list(image[:, 0])
        self.modes.add((self.training, torch.is_inference_mode_enabled()))
        return torch.zeros(len(image), 2, *image.shape[2:])

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [tuple(image.shape) for image in self.images]


def test_probabilities_equal_those_of_single_patches():
    network, margin = dilated(2), 9
    rng = np.random.default_rng(0)
    volume = rng.normal(size=(8, 9, 12)).astype(np.float32)
    probabilities = of_slices(network, pads=False)(volume, PADDING_VALUE)
    padded = np.pad(volume, margin, constant_values=PADDING_VALUE)
    for z, y, x in rng.integers((8, 9, 12), size=(20, 3)):
        patches = [
            padded[z + margin, y : y + 19, x : x + 19],
            padded[z : z + 19, y + margin, x : x + 19],
            padded[z : z + 19, y : y + 19, x + margin],
        ]
        with torch.no_grad():
            logits = torch.cat([network(torch.from_numpy(patch.copy())[None, None]) for patch in patches])
        expected = logits.softmax(dim=1).mean(dim=0).flatten().numpy()
        np.testing.assert_allclose(probabilities[:, z, y, x], expected, atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize(("planes", "receptive_field"), [((0,), 35), (ALL_PLANES, 19), (ALL_PLANES, 67), (None, 19)])
@pytest.mark.parametrize(
    ("shape", "boxes"),
    [
        ((30, 62, 45), [(12, 15, 21, 44, 3, 20)]),  # air on all sides, on some less than the receptive field
        ((30, 62, 45), [(0, 1, 60, 62, 44, 45), (29, 30, 0, 1, 0, 1)]),  # two corners
        ((30, 62, 45), [(0, 30, 0, 62, 7, 9)]),  # from border to border
        ((30, 62, 45), []),  # only air
        ((3, 70, 2), [(1, 2, 5, 6, 0, 2)]),
    ],
)
def test_skipping_air_does_not_change_the_probabilities(planes, receptive_field, shape, boxes):
    network = dilated(2 if planes else 3, receptive_field)
    volume = body_in_air(shape, *boxes)
    predict = of_slices(network, planes, pads=False) if planes else of_volumes(network, pads=False)
    np.testing.assert_allclose(
        predict(volume, PADDING_VALUE), padded_reference(network, volume, planes, receptive_field), atol=1e-5
    )


def test_only_voxels_whose_receptive_field_touches_the_body_are_computed(monkeypatch):
    """A body of 10 × 12 voxels in slices of 200 × 100: no layer receives more than the body and its margin."""
    areas = []
    convolve = torch.nn.functional.conv2d

    def counting(image, *arguments, **settings):
        areas.append(image.shape[2] * image.shape[3])
        return convolve(image, *arguments, **settings)

    monkeypatch.setitem(dilated_inference._CONVOLUTIONS, 2, counting)
    volume = body_in_air((2, 200, 100), (0, 2, 90, 100, 40, 52))
    of_slices(dilated(2), (0,), pads=False)(volume, PADDING_VALUE)
    assert len(areas) == 5
    assert max(areas) <= (16 + 2 * 9) * (24 + 2 * 9)
    areas.clear()
    of_slices(dilated(2), (0,), pads=False)(body_in_air((2, 200, 100)), PADDING_VALUE)
    assert areas == []


@pytest.mark.parametrize(("planes", "count"), [((0,), 8), (ALL_PLANES, 8 + 9 + 10)])
def test_each_slice_of_each_plane_runs_once_in_inference_mode(planes, count):
    recorder = Recorder().train()
    of_slices(recorder, planes, 2)(random_volume((8, 9, 10)), 0.0)
    assert len(recorder.images) == count
    assert recorder.modes == {(False, True)}


@pytest.mark.parametrize(("shape", "planes"), [((1, 20, 20), (0,)), ((20, 1, 20), (1,)), ((20, 20, 1), (2,))])
def test_planes_whose_slices_are_lines_are_ignored(shape, planes):
    volume = random_volume(shape)
    expected = of_slices(dilated(2), planes, pads=False)(volume, 0.0)
    np.testing.assert_array_equal(of_slices(dilated(2), pads=False)(volume, 0.0), expected)
    other = tuple(axis for axis in ALL_PLANES if axis not in planes)  # the only planes of the network
    assert of_slices(dilated(2), other, pads=False)(volume, 0.0).shape == (3, *shape)


def test_large_slices_run_in_several_calls_with_the_same_result(monkeypatch):
    volume = random_volume((8, 9, 10))
    together = of_slices(dilated(2), pads=False)(volume, 0.0)
    monkeypatch.setitem(VOXELS_AT_ONCE, "cpu", 1)
    np.testing.assert_allclose(of_slices(dilated(2), pads=False)(volume, 0.0), together, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 17, 9), (5, 9, 12), (2, 11, 13)])
def test_padded_2d_networks_process_whole_slices(shape):
    torch.manual_seed(0)
    network = ResNet(2, 3, features=2)
    volume = random_volume(shape)
    probabilities = of_slices(network, (0,))(volume, 0.0)
    with torch.no_grad():
        expected = network(torch.from_numpy(volume)[:, None]).softmax(dim=1)
    np.testing.assert_allclose(probabilities, expected.movedim(1, 0).numpy(), atol=1e-5)


def one_window_at_a_time(network: nn.Module, volume: np.ndarray, side: int, overlap: float) -> np.ndarray:
    """Return the mean of the windows' probabilities with Gaussian weights."""
    amounts = [(max(0, side - n) // 2, max(0, side - n) - max(0, side - n) // 2) for n in volume.shape]
    padded = np.pad(volume, amounts, constant_values=PADDING_VALUE)
    total = np.zeros((3, *padded.shape))
    for corner in itertools.product(*(place_windows(n, side, overlap) for n in padded.shape)):
        box = tuple(slice(start, start + side) for start, _ in corner)
        weights = functools.reduce(np.multiply.outer, (weights for _, weights in corner))
        total[(slice(None), *box)] += direct(network, padded[box].copy()) * weights
    inside = tuple(slice(low, low + n) for (low, _), n in zip(amounts, volume.shape))
    return total[(slice(None), *inside)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("overlap", [0.5, 0.3])
def test_sliding_window_equals_one_window_at_a_time(shape, overlap):
    """Some windows contain only air; they are computed once and share the result."""
    torch.manual_seed(0)
    network = UNet(3, 3, features=2)
    volume = random_volume(shape)
    volume[:, -max(1, shape[1] - 5) :] = PADDING_VALUE
    probabilities = of_volumes(network, fixed_size=True, sample_size=8, overlap=overlap)(volume, PADDING_VALUE)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, one_window_at_a_time(network, volume, 8, overlap), atol=1e-5)


def test_windows_of_air_run_once():
    recorder = Recorder()
    of_volumes(recorder, 2, fixed_size=True, sample_size=4)(body_in_air((4, 4, 40), (0, 4, 0, 4, 0, 2)), PADDING_VALUE)
    airy = [image for image in recorder.images if (image == PADDING_VALUE).all()]
    assert len(airy) == 1
    assert len(recorder.images) == 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("limit", [ALWAYS, 1_500_000, 1_000_000])
def test_an_unpadded_network_does_not_depend_on_the_tiling_of_the_volume(shape, limit):
    network, volume = dilated(3), random_volume(shape)
    probabilities = of_volumes(network, pads=False, memory_limit_bytes=limit)(volume, PADDING_VALUE)
    np.testing.assert_allclose(probabilities, padded_reference(network, volume, None, 19), atol=1e-5)


@pytest.mark.parametrize(("planes", "shape"), [(None, (4, 4, 4)), ((0,), (4, 4))])
def test_an_image_smaller_than_the_window_is_centred_in_the_padding_value(planes, shape):
    recorder = Recorder()
    volume = random_volume((1, 3, 4))
    settings = {"fixed_size": True, "sample_size": 4}
    predict = of_slices(recorder, planes, 2, **settings) if planes else of_volumes(recorder, 2, **settings)
    predict(volume, padding_value=-2.0)
    (image,) = recorder.images
    expected = np.pad(volume, [(1, 2), (0, 1), (0, 0)], constant_values=-2)
    np.testing.assert_array_equal(image.numpy(), expected if planes is None else expected[1])


@pytest.mark.parametrize("planes", [None, (0,), (2,)])
def test_small_volumes_are_cropped_from_the_middle_of_the_window(planes):
    """The network is a pointwise convolution: the probabilities of a voxel depend on its value alone."""
    network = nn.Conv3d(1, 2, 1) if planes is None else nn.Conv2d(1, 2, 1)
    volume = random_volume((3, 5, 2))
    settings = {"fixed_size": True}
    predict = of_slices(network, planes, 2, **settings) if planes else of_volumes(network, 2, **settings)
    with torch.no_grad():
        logits = network.weight.flatten()[:, None] * torch.from_numpy(volume).flatten() + network.bias[:, None]
    expected = logits.softmax(dim=0).reshape(2, 3, 5, 2)
    np.testing.assert_allclose(predict(volume, -2.0), expected.numpy(), atol=1e-6)


def test_the_memory_limit_selects_one_pass_or_windows():
    shape = (6, 12, 8)
    needed = activation_bytes(Recorder(), 1, shape)
    assert needed == 3 * 4 * math.prod(shape) * (1 + 2)  # float32; one channel in, two out
    for limit, sides in ((needed, shape), (needed - 1, (4, 4, 4))):
        recorder = Recorder()
        of_volumes(recorder, 2, sample_size=4, memory_limit_bytes=limit)(random_volume(shape), 0.0)
        assert set(recorder.shapes) == {sides}


@pytest.mark.parametrize(
    ("dimensions", "fixed_size", "shape"),
    [(2, False, (12, 8)), (3, False, (6, 12, 8)), (2, True, (4, 4)), (3, True, (4, 4, 4))],
)
def test_a_padded_network_gets_whole_images_or_windows_of_its_fixed_size(dimensions, fixed_size, shape):
    recorder = Recorder()
    settings = {"fixed_size": fixed_size, "sample_size": 4}
    predict = of_slices(recorder, (0,), 2, **settings) if dimensions == 2 else of_volumes(recorder, 2, **settings)
    probabilities = predict(random_volume((6, 12, 8)), 0.0)
    assert set(recorder.shapes) == {shape}
    np.testing.assert_allclose(probabilities, 0.5, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("limit", [ALWAYS, NEVER])
@pytest.mark.parametrize("planes", [None, ALL_PLANES])
@pytest.mark.parametrize("network_class", [UNet, ResNet])
def test_probabilities_of_padded_networks_sum_to_one(network_class, planes, limit, shape):
    torch.manual_seed(0)
    network = network_class(3 if planes is None else 2, 3, features=2)
    settings = {"fixed_size": limit == NEVER}
    predict = of_slices(network, planes, **settings) if planes else of_volumes(network, **settings)
    probabilities = predict(random_volume(shape), -1.0)
    assert probabilities.shape == (3, *shape)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)


def test_deep_supervision_predicts_with_the_finest_level():
    network = UNet(3, 3, features=2, deep_supervision=True).train()
    assert of_volumes(network)(random_volume((2, 9, 5)), -1.0).shape == (3, 2, 9, 5)


MASKS = {
    "box": [(2, 5, 3, 8, 4, 5), (4, 5, 7, 8, 9, 10)],
    "everything": [(0, 9, 0, 14, 0, 11)],
    "corners": [(0, 1, 0, 1, 0, 1), (8, 9, 13, 14, 10, 11)],
    "nothing": [],
}


@pytest.mark.parametrize("planes", [None, ALL_PLANES])
@pytest.mark.parametrize("boxes", MASKS.values(), ids=MASKS)
def test_prediction_in_a_mask_equals_the_whole_volume_and_is_background_outside(planes, boxes):
    """The network sees the image around the mask, and the padding value beyond the volume."""
    network = dilated(2 if planes else 3)
    predict = of_slices(network, pads=False) if planes else of_volumes(network, pads=False)
    volume = random_volume((9, 14, 11))
    mask = np.zeros(volume.shape, bool)
    for z, zz, y, yy, x, xx in boxes:
        mask[z:zz, y:yy, x:xx] = True
    expected = predict(volume, PADDING_VALUE)
    expected[:, ~mask] = np.array([[1], [0], [0]])
    np.testing.assert_allclose(predict(volume, PADDING_VALUE, mask), expected, atol=1e-5)


def test_windows_in_a_mask_include_its_surroundings():
    network = nn.Conv3d(1, 3, 3, padding=1)
    volume = random_volume((9, 14, 30))
    mask = np.zeros(volume.shape, bool)
    mask[3:5, 6:9, 12:14] = True
    inside = of_volumes(network, fixed_size=True, sample_size=8, overlap=0.9)(volume, PADDING_VALUE, mask)[:, mask]
    np.testing.assert_allclose(inside, direct(network, volume)[:, mask], atol=2e-2)


@pytest.mark.parametrize("planes", [None, (0,)])
def test_a_channel_beyond_the_classes_is_an_uncertainty(planes):
    """It is not part of the softmax, never negative (softplus: log(1 + exp(raw))), and averaged like probabilities."""
    network, margin = dilated(2 if planes else 3), 9
    volume = random_volume((5, 8, 7))
    settings = {"pads": False, "predicts_uncertainty": True}
    values = (of_slices(network, planes, 2, **settings) if planes else of_volumes(network, 2, **settings))(volume, 0.0)
    padded = np.pad(volume, [(0 if planes else margin,) * 2, (margin,) * 2, (margin,) * 2])
    with torch.no_grad():
        if planes:
            logits = network(torch.from_numpy(padded)[:, None]).movedim(1, 0).numpy()
        else:
            logits = network(torch.from_numpy(padded)[None, None])[0].numpy()
    np.testing.assert_allclose(values[2], np.log1p(np.exp(logits[2])), atol=1e-5)
    np.testing.assert_allclose(values[0], 1 / (1 + np.exp(logits[1] - logits[0])), atol=1e-5)
    np.testing.assert_allclose(values[:2].sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("planes", [None, ALL_PLANES])
def test_bf16_is_close_to_fp32(planes):
    network = dilated(2 if planes else 3)
    volume = body_in_air((9, 14, 30), (2, 7, 3, 11, 4, 9))
    settings = {"pads": False, "precision": "bf16"}
    half = (of_slices(network, planes, **settings) if planes else of_volumes(network, **settings))(
        volume, PADDING_VALUE
    )
    assert half.dtype == np.float32
    expected = padded_reference(network, volume, planes, 19)
    np.testing.assert_allclose(half, expected, atol=0.02)
    assert np.abs(half - expected).max() > 1e-5
