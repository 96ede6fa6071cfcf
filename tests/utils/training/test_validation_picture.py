"""Picture of a validation slice: content and size."""

import numpy as np
import pytest

from utils.training.validation_picture import LEAST_SIDE, validation_picture


def picture_of(shape, spacing_mm=(1.0, 1.0)):
    image = np.zeros(shape)
    image[-1] = 1
    reference, answer = np.zeros((2, *shape), np.uint8)
    reference[0] = 1
    answer[:, 0] = 2
    return validation_picture(image, reference, answer, spacing_mm, "case, slice, iteration")


@pytest.mark.parametrize(
    "shape, spacing_mm",
    [((20, 20), (1, 1)), ((20, 30), (3, 3)), ((7, 300), (1, 1)), ((400, 500), (1, 1)), ((1, 1), (1, 1))],
)
def test_a_panel_is_large_enough_and_not_too_large(shape, spacing_mm):
    picture = picture_of(shape, spacing_mm)
    assert list(picture.panels) == ["image", "reference", "prediction"]
    for panel in picture.panels.values():
        assert min(panel.shape[1:]) >= LEAST_SIDE >= 300
        assert max(panel.shape[1:]) <= 1000
    assert picture.joined.dtype == np.uint8
    assert picture.joined.shape[2] >= 3 * 300


def test_voxels_keep_their_proportions():
    _, height, width = picture_of((20, 40), spacing_mm=(2.0, 3.0)).panels["image"].shape
    assert (height, width) == (LEAST_SIDE, 3 * LEAST_SIDE)
    _, height, width = picture_of((512, 512), spacing_mm=(0.7, 0.7)).panels["image"].shape
    assert (height, width) == (512, 512)  # no row or column is lost


def test_panels_match_their_titles():
    panels = picture_of((4, 4)).panels
    step = LEAST_SIDE // 4
    red, grey = np.ptp(panels["reference"][:, 0, -1].astype(int)), np.ptp(panels["image"].astype(int), axis=0)
    assert not grey.any()
    assert red and not np.ptp(panels["reference"][:, step:].astype(int), axis=0).any()
    assert np.ptp(panels["prediction"][:, :, :step].astype(int), axis=0).all()
    assert (panels["image"][:, -step:] == 255).all() and not panels["image"][:, :-step].any()
