import numpy as np
import pytest

from base.channels import UNNAMED
from base.errors import InputError
from base.intensity_records import Normalization
from data.cases import find_cases
from data.intensities import decide_normalization, shown_window
from data.intensities import normalize as normalize_channels
from data.sampling.case_cache import settle_normalization


def normalize(image, normalization):
    """Normalize an image of one channel; also return its padding value."""
    volume, padding_values = normalize_channels([image], [normalization])
    return volume[0], padding_values[0]


def test_zscore_standardizes_each_image_without_its_extremes():
    image = np.random.default_rng(0).normal(300, 40, (20, 20, 20)).astype(np.float32)
    image[0, 0, 0] = 1e6
    normalized, padding_value = normalize(image, Normalization("zscore"))
    assert normalized.dtype == np.float32
    assert abs(normalized.mean()) < 1e-3
    assert normalized.std() == pytest.approx(1, abs=1e-3)
    assert padding_value == pytest.approx(normalized.min(), abs=1e-3)


def test_ct_uses_one_window_for_all_images_and_pads_with_air():
    ct = Normalization("ct", (-50.0, 250.0), 100.0, 50.0)
    normalized, padding_value = normalize(np.array([[[-1000, -50, 100, 3000]]], np.float32), ct)
    np.testing.assert_allclose(normalized.ravel(), [-3, -3, 0, 3])
    assert padding_value == -3


def test_none_keeps_intensities_and_pads_with_the_minimum():
    image = np.array([[[4.0, -2.0]]], np.float32)
    normalized, padding_value = normalize(image, Normalization("none"))
    np.testing.assert_array_equal(normalized, image)
    assert padding_value == -2


def test_a_constant_image_does_not_divide_by_zero():
    normalized, _ = normalize(np.full((3, 3, 3), 5, np.float32), Normalization("zscore"))
    np.testing.assert_array_equal(normalized, 0)


def test_auto_recognizes_ct_by_its_air_and_uses_the_window_of_the_foreground(kidneys, tmp_path):
    cases = find_cases(kidneys, "train")
    decided = settle_normalization(tmp_path, "auto", UNNAMED, cases)
    assert decided.kind == "ct"
    foreground = np.concatenate([case.stored_image(UNNAMED)[case.resampled_reference() > 0] for case in cases])
    np.testing.assert_allclose(decided.window, np.percentile(foreground, (0.5, 99.5)), rtol=1e-3)
    clipped = np.clip(foreground, *decided.window)
    assert decided.mean == pytest.approx(clipped.mean(), rel=1e-3)
    assert Normalization.from_json(decided.to_json()) == decided


def test_ct_without_any_foreground_is_told():
    for samples in ([], [np.array([], np.int16)]):
        with pytest.raises(InputError, match="no training case shows any"):
            decide_normalization("ct", [-1000.0], samples)


@pytest.mark.parametrize("kind", ["ct", "zscore", "none"])
def test_air_has_exactly_the_padding_value(kind):
    image = np.random.default_rng(0).normal(40, 90, (6, 20, 20)).astype(np.float32)
    image[:, :, :7] = image.min() - 500
    normalized, padding_value = normalize(image, Normalization(kind, (-77.7, 301.3), 103.37, 76.91))
    assert (normalized[:, :, :7] == np.float32(padding_value)).all()


def test_pictures_of_ct_have_the_soft_tissue_window_or_a_wider_one():
    air = np.full((4, 4, 4), -1000, np.float32)
    assert shown_window(Normalization("ct", (-60.0, 150.0)), air) == (-160, 240)
    assert shown_window(Normalization("ct", (-900.0, 300.0)), air) == (-900, 300)
    image = np.arange(201.0, dtype=np.float32).reshape(1, 1, 201)
    low, high = shown_window(Normalization("zscore"), image)
    assert (low, high) == pytest.approx((1, 199), abs=2)
