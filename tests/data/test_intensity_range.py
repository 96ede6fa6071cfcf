"""Scans in another unit than the training scans cause a warning; ordinary scans do not."""

import json

import numpy as np
import pytest

from base.channels import UNNAMED
from base.intensity_records import IntensityRange
from data.cases import find_cases
from data.intensity_range import intensity_range_of, intensity_warning, range_of
from data.sampling.case_cache import intensity_range


def ct_scan(seed: int, air: float = 0.5, outside: float = -1000.0) -> np.ndarray:
    """Return a CT scan of air, fat, soft tissue, and bone of varying intensity."""
    rng = np.random.default_rng(seed)
    parts = [(air, outside, 5), (0.2, -100, 20), (0.8 - air, 40, 40), (0.02, rng.uniform(400, 900), 200)]
    values = np.concatenate([rng.normal(mean, spread, int(8000 * share)) for share, mean, spread in parts])
    return rng.permutation(values)[:8000].reshape(20, 20, 20).astype(np.float32)


def mr_image(seed: int) -> np.ndarray:
    """Return an MR image in an arbitrary unit: a few bright structures in dark surroundings."""
    rng = np.random.default_rng(seed)
    return (rng.gamma(2, 1, (20, 20, 20)) * rng.uniform(10, 1000)).astype(np.float32)


def stored_range(kind: str, images) -> IntensityRange:
    """Return the intensity range of training images as weights store it."""
    training = intensity_range_of(kind, [range_of(kind, image) for image in images], [])
    return IntensityRange.from_json(json.loads(json.dumps(training.to_json())))


def warned(training: IntensityRange, image) -> bool:
    message, misses = intensity_warning([training], image)
    assert bool(message) == misses
    return misses


@pytest.mark.parametrize("cases", [3, 20])
def test_ct_in_another_unit_causes_a_warning_and_ordinary_ct_does_not(cases):
    network = stored_range("ct", [ct_scan(seed) for seed in range(cases)])
    for seed in range(100, 110):
        scan = ct_scan(seed, air=0.3 + 0.04 * (seed - 100))
        assert not warned(network, scan)
        assert not warned(network, ct_scan(seed, outside=-3024))  # outside the scanner's field of view
        window = (np.clip(scan, -160, 240) + 160) / 400
        for other in (scan + 1024, scan + 1000, window, 255 * window, 10 * scan, np.zeros_like(scan)):
            assert warned(network, other)


def test_only_the_shape_of_the_distribution_matters_to_zscore():
    network = stored_range("zscore", [mr_image(seed) for seed in range(10)])
    for seed in range(100, 110):
        scan = mr_image(seed)
        for same in (scan, scan + 1024, (scan - scan.min()) / np.ptp(scan)):
            assert not warned(network, same)
        assert warned(network, -scan)
        assert warned(network, np.zeros_like(scan))


def test_the_warning_gives_both_ranges():
    training = IntensityRange("none", (0.0, 1.0), (90.0, 100.0), (90.0, 100.0), 95.0, (40.0, 50.0, 60.0))
    line = training.warning((1000.0, 1095.0))
    assert "intensities are 1000 to 1095, of training scans 0 to 100, their foreground 40 to 60" in line
    assert not training.warning((2.0, 95.0))


def test_weights_of_an_earlier_version_cause_no_warning():
    assert intensity_warning([], ct_scan(0)) == ("", None)


@pytest.mark.parametrize("kind", ["ct", "zscore", "none"])
def test_the_cache_gives_the_range_of_whole_images(kidneys, tmp_path, kind):
    cases = find_cases(kidneys, "train")
    cached = intensity_range(tmp_path, kind, UNNAMED, cases)
    images = [case.stored_image(UNNAMED).astype(np.float32) for case in cases]
    whole = intensity_range_of(kind, [range_of(kind, image) for image in images], [])
    np.testing.assert_allclose(
        [*cached.low, *cached.high, cached.median_spread], [*whole.low, *whole.high, whole.median_spread], rtol=1e-5
    )
    low, middle, high = cached.foreground
    assert cached.low[0] < low < middle < high
    assert not any(cached.misses(range_of(kind, image)) for image in images)
