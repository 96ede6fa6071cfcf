import numpy as np
import pytest
import torch

from data.augmentation import AffineDraw, apply_augmentation, draw_light_augmentation, enlargement, rotation_matrices
from data.batches import to_tensors
from data.patches import Batch


def draw_of(degrees: float, spacings_mm, zoom=1.0, scale=1.0, shift=0.0) -> AffineDraw:
    spacings_mm = np.asarray([spacings_mm], float)
    matrices = rotation_matrices(np.deg2rad([degrees]), np.array([zoom]), spacings_mm).astype(np.float32)
    return AffineDraw(matrices, np.float32([scale]), np.float32([shift]))


def test_a_quarter_turn_is_a_quarter_turn_of_everything():
    rng = np.random.default_rng(0)
    image, reference = rng.normal(size=(1, 9, 9)).astype(np.float32), rng.integers(0, 3, (1, 9, 9)).astype(np.uint8)
    soft = rng.random((1, 3, 9, 9)).astype(np.float32)
    arrays = (torch.from_numpy(array) for array in (image, reference, soft))
    turned = apply_augmentation(draw_of(90, (1, 1), scale=2, shift=0.5), *arrays, input_size=9, sample_size=9)
    for result, original in zip(turned, (image * 2 + 0.5, reference, soft)):
        np.testing.assert_allclose(result, np.rot90(original, -1, axes=(-2, -1)), atol=1e-4)


def test_nothing_drawn_leaves_the_middle_as_it_is():
    image = torch.arange(81.0).reshape(1, 9, 9)
    result, reference, soft = apply_augmentation(draw_of(0, (1, 2)), image, image.to(torch.uint8), None, 5, 3)
    np.testing.assert_allclose(result, image[:, 2:7, 2:7], atol=1e-4)
    np.testing.assert_array_equal(reference, image[:, 3:6, 3:6].to(torch.uint8))
    assert soft is None


def test_a_rotation_is_one_of_the_anatomy_where_voxels_are_not_square():
    """Rows 2 mm apart, columns 1 mm: a quarter turn takes what lies 2 rows away to 4 columns away."""
    image = torch.zeros(1, 9, 9)
    image[0, 4 + 2, 4] = 1
    turned, *_ = apply_augmentation(draw_of(90, (2.0, 1.0)), image, image.to(torch.uint8), None, 9, 9)
    (place,) = np.argwhere(np.asarray(turned[0]) > 0.5)
    assert tuple(place) in {(4, 8), (4, 0)}


def test_a_zoom_enlarges():
    image = torch.zeros(1, 21, 21)
    image[0, 8:13, 8:13] = 1
    larger, *_ = apply_augmentation(draw_of(0, (1, 1), zoom=2.0), image, image.to(torch.uint8), None, 21, 21)
    assert float(larger.sum()) == pytest.approx(4 * 25, rel=0.05)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (3.0, 1.0), (1.0, 2.5)])
def test_areas_are_enlarged_enough_for_every_draw(spacing):
    spacings = np.tile(np.float32(spacing), (2000, 1))
    draw = draw_light_augmentation(np.random.default_rng(0), spacings)
    corner = np.array([[1, 1], [1, -1]]).T
    reach = np.abs(draw.matrices.astype(float) @ corner).max()
    assert 1.2 < reach < 1 + enlargement(spacings) + 1e-5


def test_image_reference_and_soft_labels_move_together():
    """Where all three hold the same smooth pattern, they still do after every draw."""
    rows, columns = np.meshgrid(np.arange(80), np.arange(80), indexing="ij")
    pattern = 0.5 + 0.5 * np.sin(rows / 9) * np.cos(columns / 7)
    n = 20
    image = np.tile(pattern.astype(np.float32), (n, 1, 1))
    one = np.rint(255 * image).astype(np.uint8)
    soft = np.stack([255 - one, one], axis=1)
    draw = draw_light_augmentation(np.random.default_rng(1), np.ones((n, 2)))
    batch = to_tensors(Batch(image, (image > 0.5).astype(np.uint8), soft, draw), 40, 40)
    moved = (batch.image[:, 0] - torch.from_numpy(draw.shifts)[:, None, None]) / torch.from_numpy(draw.scales)[
        :, None, None
    ]
    np.testing.assert_allclose(batch.soft[:, 1], moved, atol=0.01)
    np.testing.assert_allclose(batch.soft.sum(dim=1), 1, atol=1e-6)
    sure = (moved - 0.5).abs() > 0.1
    np.testing.assert_array_equal(batch.reference[sure], (moved > 0.5).long()[sure])


def test_what_is_drawn_spreads_as_stated():
    draw = draw_light_augmentation(np.random.default_rng(2), np.ones((5000, 2)))
    degrees = np.rad2deg(np.arctan2(draw.matrices[:, 1, 0], draw.matrices[:, 0, 0]))
    assert degrees.std() == pytest.approx(10, rel=0.05)
    assert np.abs(degrees).max() <= 25.01
    assert abs(degrees.mean()) < 0.5


def test_soft_labels_outside_the_image_stay_unknown():
    soft = np.zeros((1, 2, 9, 9), np.uint8)
    soft[:, 0, :, :5] = 255
    batch = Batch(np.zeros((1, 9, 9), np.float32), np.zeros((1, 9, 9), np.uint8), soft, draw_of(10, (1, 1)))
    total = to_tensors(batch, 5, 5).soft.sum(dim=1)
    assert set(np.unique(total.round(decimals=5))) == {0.0, 1.0}
