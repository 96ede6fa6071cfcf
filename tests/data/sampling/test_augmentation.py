import numpy as np
import pytest
import torch
from scipy import ndimage

from data.sampling.augmentation import (
    STRENGTHS,
    SampledAugmentation,
    apply_augmentation,
    in_voxels,
    rotations_about,
    rotations_in_plane,
    sample_augmentation,
)
from data.sampling.batches import to_tensors
from data.sampling.patches import Batch


def draw_of(matrices, scale=1.0, shift=0.0, gamma=1.0, noise=0.0, blur=0.0) -> SampledAugmentation:
    n = len(matrices)
    values = [np.full((n, 1), value, np.float32) for value in (scale, shift, gamma, noise, blur)]
    return SampledAugmentation(matrices.astype(np.float32), *values, noise_seeds=7 + np.arange(n)[:, None])


def transform(augmentation, image, *rest):
    """Apply the augmentation to an image (n, ...) of one channel, and to reference and soft labels."""
    image, reference, soft = apply_augmentation(augmentation, image[:, None], *rest)
    return image[:, 0], reference, soft


def turn_of(degrees: float, spacings_mm, zoom=1.0, **intensities) -> SampledAugmentation:
    matrices = in_voxels(rotations_in_plane(np.deg2rad([degrees])), np.asarray([spacings_mm], float)) / zoom
    return draw_of(matrices, **intensities)


def test_a_quarter_turn_rotates_image_reference_and_soft_labels():
    rng = np.random.default_rng(0)
    image, reference = rng.normal(size=(1, 9, 9)).astype(np.float32), rng.integers(0, 3, (1, 9, 9)).astype(np.uint8)
    soft = rng.random((1, 3, 9, 9)).astype(np.float32)
    turned = transform(turn_of(90, (1, 1), scale=2, shift=0.5), image, reference, soft, 9, 9)
    for result, original in zip(turned, (image * 2 + 0.5, reference, soft)):
        np.testing.assert_allclose(result, np.rot90(original, -1, axes=(-2, -1)), atol=1e-4)


def test_the_identity_only_crops():
    image = np.arange(81, dtype=np.float32).reshape(1, 9, 9)
    result, reference, soft = transform(turn_of(0, (1, 2)), image, image.astype(np.uint8), None, 5, 3)
    np.testing.assert_allclose(result, image[:, 2:7, 2:7], atol=1e-4)
    np.testing.assert_array_equal(reference, image[:, 3:6, 3:6])
    assert soft is None


def test_a_rotation_is_rigid_in_mm_for_anisotropic_voxels():
    """Rows 2 mm apart, columns 1 mm: a quarter turn moves a voxel from 2 rows away to 4 columns away."""
    image = np.zeros((1, 9, 9), np.float32)
    image[0, 4 + 2, 4] = 1
    turned, *_ = transform(turn_of(90, (2.0, 1.0)), image, image.astype(np.uint8), None, 9, 9)
    (place,) = np.argwhere(turned[0] > 0.5)
    assert tuple(place) in {(4, 8), (4, 0)}


def test_a_zoom_enlarges():
    image = np.zeros((1, 21, 21), np.float32)
    image[0, 8:13, 8:13] = 1
    larger, *_ = transform(turn_of(0, (1, 1), zoom=2.0), image, image.astype(np.uint8), None, 21, 21)
    assert float(larger.sum()) == pytest.approx(4 * 25, rel=0.05)


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (3.0, 1.0), (2.0, 1.0, 1.0), (10.0, 1.0, 1.0)])
def test_areas_are_enlarged_enough_for_every_transform(strength, spacing):
    """Every corner of the result is sampled inside the enlarged area, and one lies on its border along each axis."""
    spacings = np.tile(np.float32(spacing), (500, 1))
    augmentation = sample_augmentation(STRENGTHS[strength], np.random.default_rng(0), spacings)
    corners = np.stack(np.meshgrid(*[[-1, 1]] * len(spacing)), -1).reshape(-1, len(spacing))
    reach = np.abs(np.einsum("nij,cj->nci", augmentation.matrices, corners)).max(axis=(0, 1))
    np.testing.assert_allclose(reach, 1 + augmentation.enlargement, rtol=1e-5)


def test_image_reference_and_soft_labels_move_together():
    """If all three contain the same smooth pattern, they still do after every transform."""
    rows, columns = np.meshgrid(np.arange(80), np.arange(80), indexing="ij")
    pattern = 0.5 + 0.5 * np.sin(rows / 9) * np.cos(columns / 7)
    n = 20
    image = np.tile(pattern.astype(np.float32), (n, 1, 1))
    one = np.rint(255 * image).astype(np.uint8)
    soft = np.stack([255 - one, one], axis=1)
    augmentation = sample_augmentation(STRENGTHS["light"], np.random.default_rng(1), np.ones((n, 2)))
    batch = to_tensors(Batch(image[:, None], (image > 0.5).astype(np.uint8), soft, one, augmentation), 40, 40)
    moved = (batch.image[:, 0] - torch.from_numpy(augmentation.shifts)[..., None]) / torch.from_numpy(
        augmentation.scales
    )[..., None]
    np.testing.assert_allclose(batch.soft[:, 1], moved, atol=0.01)
    np.testing.assert_allclose(batch.soft.sum(dim=1), 1, atol=1e-6)
    np.testing.assert_allclose(batch.deviation * 2, moved, atol=0.01)
    sure = (moved - 0.5).abs() > 0.1
    np.testing.assert_array_equal(batch.reference[sure], (moved > 0.5).long()[sure])


def test_soft_labels_and_deviation_are_not_smaller_at_the_border_of_the_scan():
    """A voxel that is partly outside counts by what lies inside."""
    n, inside = 4, np.zeros((4, 80, 80), np.uint8)
    inside[:, :, 38:] = 1
    soft = np.stack([155 * inside, 100 * inside], axis=1)
    augmentation = sample_augmentation(STRENGTHS["strong"], np.random.default_rng(2), np.ones((n, 2)))
    image = np.zeros((n, 1, 80, 80), np.float32)
    batch = to_tensors(Batch(image, inside, soft, 204 * inside, augmentation), 40, 40)
    known = batch.soft.sum(dim=1) > 0
    assert known.any() and not known.all()
    np.testing.assert_allclose(batch.soft[:, 1][known], 100 / 255, atol=1e-5)
    np.testing.assert_allclose(batch.deviation[known], 204 / 510, atol=1e-5)


def test_sampled_parameters_have_the_stated_deviation():
    augmentation = sample_augmentation(STRENGTHS["light"], np.random.default_rng(2), np.ones((5000, 2)))
    degrees = np.rad2deg(np.arctan2(augmentation.matrices[:, 1, 0], augmentation.matrices[:, 0, 0]))
    assert degrees.std() == pytest.approx(10, rel=0.05)
    assert np.abs(degrees).max() <= 25.01
    assert abs(degrees.mean()) < 0.5


def test_soft_labels_outside_the_image_stay_unknown():
    soft = np.zeros((1, 2, 9, 9), np.uint8)
    soft[:, 0, :, :5] = 255
    batch = Batch(np.zeros((1, 1, 9, 9), np.float32), np.zeros((1, 9, 9), np.uint8), soft, None, turn_of(10, (1, 1)))
    total = to_tensors(batch, 5, 5).soft.sum(dim=1)
    assert set(np.unique(total.round(decimals=5))) == {0.0, 1.0}


def test_a_quarter_turn_of_a_box_about_each_axis_rotates_everything():
    """Compare image, reference, soft labels and their deviation with numpy.rot90."""
    rng = np.random.default_rng(3)
    image, reference = rng.normal(size=(1, 7, 7, 7)).astype(np.float32), rng.integers(0, 3, (1, 7, 7, 7))
    soft = rng.random((1, 4, 7, 7, 7)).astype(np.float32)
    arrays = [image, reference.astype(np.uint8), soft]
    for plane in ((0, 1), (0, 2), (1, 2)):
        matrix = np.eye(3)
        matrix[np.ix_(plane, plane)] = [[0, -1], [1, 0]]
        turned = transform(draw_of(matrix[None]), *arrays, 7, 7)
        for result, original in zip(turned, arrays):
            axes = [axis - 3 for axis in plane]
            np.testing.assert_allclose(result, np.rot90(original, -1, axes=axes), atol=1e-4)


def test_rotations_of_boxes_are_about_uniform_directions():
    angles = np.deg2rad(np.full(4000, 30.0))
    rotations = rotations_about(np.random.default_rng(0), angles)
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (4000, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    np.testing.assert_allclose(np.trace(rotations, axis1=1, axis2=2), 1 + 2 * np.cos(angles))
    axes = np.stack([rotations[:, 2, 1], rotations[:, 0, 2], rotations[:, 1, 0]], 1)
    axes -= np.stack([rotations[:, 1, 2], rotations[:, 2, 0], rotations[:, 0, 1]], 1)
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    np.testing.assert_allclose(axes.mean(axis=0), 0, atol=0.04)
    np.testing.assert_allclose(axes.T @ axes / 4000, np.eye(3) / 3, atol=0.03)


def test_flips_are_off_by_default():
    spacings = np.ones((400, 3))
    straight = sample_augmentation(STRENGTHS["light"], np.random.default_rng(0), spacings)
    assert (np.linalg.det(straight.matrices) > 0).all()
    flipped = sample_augmentation(STRENGTHS["light"], np.random.default_rng(0), spacings, flip=True)
    diagonals = np.diagonal(flipped.matrices, axis1=1, axis2=2)
    np.testing.assert_allclose((diagonals < 0).mean(axis=0), 0.5, atol=0.1)


def test_gamma_keeps_minimum_and_maximum():
    image = np.linspace(-1, 3, 25, dtype=np.float32).reshape(1, 5, 5)
    result, *_ = transform(turn_of(0, (1, 1), gamma=2.0), image, image.astype(np.uint8), None, 5, 5)
    np.testing.assert_allclose(result, ((image + 1) / 4) ** 2 * 4 - 1, atol=1e-4)


@pytest.mark.parametrize("d", [2, 3])
def test_blur_is_gaussian_for_each_patch(d):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(3, *[15] * d)).astype(np.float32)
    matrices = np.tile(np.eye(d), (3, 1, 1))
    augmentation = draw_of(matrices)
    blurs = np.float32([0.0, 0.6, 1.0])
    augmentation = SampledAugmentation(**{**vars(augmentation), "blurs": blurs[:, None]})
    result, *_ = transform(augmentation, image, image.astype(np.uint8), None, 15, 15)
    for one, original, sigma in zip(result, image, blurs):
        expected = ndimage.gaussian_filter(original, sigma, mode="nearest", radius=3) if sigma else original
        np.testing.assert_allclose(one, expected, atol=1e-4)


def test_noise_has_its_deviation_and_is_reproducible():
    image = np.zeros((2, 100, 100), np.float32)
    augmentation = draw_of(np.tile(np.eye(2), (2, 1, 1)))
    augmentation = SampledAugmentation(**{**vars(augmentation), "noises": np.float32([[0.0], [0.2]])})
    one, other = (transform(augmentation, image, image.astype(np.uint8), None, 100, 100)[0] for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert np.abs(one[0]).max() < 1e-6
    assert float(one[1].std()) == pytest.approx(0.2, rel=0.05)


def test_strong_varies_more_than_light_in_every_parameter():
    spacings = np.ones((2000, 3))
    light, strong = (sample_augmentation(STRENGTHS[name], np.random.default_rng(1), spacings) for name in STRENGTHS)
    for name in ("scales", "shifts", "gammas", "noises", "blurs", "matrices"):
        assert getattr(strong, name).std() > getattr(light, name).std(), name
    assert 0.25 < (strong.blurs > 0).mean() < 0.35


def test_channels_share_the_geometry_and_have_intensities_of_their_own():
    rng = np.random.default_rng(0)
    augmentation = sample_augmentation(STRENGTHS["strong"], rng, np.ones((6, 2)), flip=True, channels=3)
    pattern = ndimage.gaussian_filter(rng.normal(size=(6, 60, 60)), (0, 3, 3)).astype(np.float32)
    image = np.repeat(pattern[:, None], 3, axis=1)
    plain = SampledAugmentation(
        **{
            **vars(augmentation),
            **{name: np.zeros((6, 3), np.float32) for name in ("noises", "blurs")},
            "gammas": np.ones((6, 3), np.float32),
        }
    )
    result, *_ = apply_augmentation(plain, image, np.zeros((6, 60, 60), np.uint8), None, 30, 30)
    geometry = (result - plain.shifts[..., None, None]) / plain.scales[..., None, None]
    np.testing.assert_allclose(geometry, np.repeat(geometry[:, :1], 3, axis=1), atol=1e-4)
    for name in ("scales", "shifts", "gammas"):
        assert len(np.unique(getattr(augmentation, name))) == 18
    changed, *_ = apply_augmentation(augmentation, image, np.zeros((6, 60, 60), np.uint8), None, 30, 30)
    assert np.abs(changed[:, 0] - changed[:, 1]).max() > 0.05


def test_one_channel_is_augmented_as_before_there_were_several():
    """The parameters of one channel are the first numbers of the generator, in the order of earlier versions."""
    n, strength = 4, STRENGTHS["strong"]
    one = sample_augmentation(strength, np.random.default_rng(5), np.ones((n, 2)))
    rng = np.random.default_rng(5)
    rng.normal(0, 1, n), rng.normal(0, 1, n)  # angles and zooms
    np.testing.assert_array_equal(one.scales[:, 0], np.float32(1 + strength.intensity * rng.normal(size=n)))
    np.testing.assert_array_equal(one.shifts[:, 0], np.float32(strength.intensity * rng.normal(size=n)))
