"""Averages over mirrored views, against views that are computed by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from networks.unet import UNet
from utils.inference.mirrored_views import MirroredViews, mirrorings
from utils.inference.torch_networks import TorchNetwork
from utils.inference.volumes import InferenceOptions, predictor_of


def trained(*axes: int) -> SimpleNamespace:
    return SimpleNamespace(mirrored_axes=axes)


def test_views_are_mirrored_along_more_and_more_axes():
    assert mirrorings(trained(1, 2), 4) == [(), (2,), (1,), (1, 2)]
    assert mirrorings(trained(0, 1, 2), 8)[-4:] == [(1, 2), (0, 2), (0, 1), (0, 1, 2)]
    assert mirrorings(trained(), 1) == [()]


@pytest.mark.parametrize(("axes", "count"), [((), 2), ((1, 2), 5), ((0, 1, 2), 9)])
def test_a_network_has_no_more_views_than_it_was_trained_on(axes, count):
    with pytest.raises(ValueError, match=rf"not {count}"):
        mirrorings(trained(*axes), count)


def test_the_mean_over_views_of_a_network_is_that_of_views_by_hand():
    torch.manual_seed(0)
    network = UNet(2, 3, features=8).eval()
    described = SimpleNamespace(
        dimensions=2, pads=True, fixed_size=False, planes=(0,), sample_size=16, number_of_classes=3,
        predicts_uncertainty=False, mirrored_axes=(1, 2),
    )  # fmt: skip
    volume = np.random.default_rng(0).normal(size=(3, 21, 26)).astype(np.float32)
    mask = np.random.default_rng(1).random(volume.shape) < 0.7
    arrays = TorchNetwork(network, torch.device("cpu"), 3)
    once = predictor_of(arrays, described)
    several = predictor_of(arrays, described, InferenceOptions(views=4))
    for part in (None, mask):
        expected = 0
        for flips in ("zyx", "zyX", "zYx", "zYX"):  # capitals are mirrored
            mirror = tuple(slice(None, None, -1 if axis.isupper() else 1) for axis in flips)
            view = None if part is None else part[mirror].copy()
            expected = expected + once(volume[mirror][None].copy(), [-1.0], view)[(slice(None), *mirror)] / 4
        np.testing.assert_allclose(several(volume[None], [-1.0], part), expected, atol=1e-6)


def test_a_prediction_that_commutes_with_mirroring_is_unchanged():
    volume = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    predict = MirroredViews(
        lambda image, padding_values, mask: np.concatenate([image, -image]), mirrorings(trained(0, 1, 2), 8)
    )
    np.testing.assert_allclose(predict(volume[None], [0.0]), np.stack([volume, -volume]), atol=1e-6)
