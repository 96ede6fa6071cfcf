import math

import numpy as np
import pytest

from utils.inference.windows import place_windows


def test_weights_are_a_gaussian_scaled_to_sum_to_one_at_every_voxel():
    # Windows of 4: sigma half a voxel, so the inner two weigh e^-0.5 and the outer two e^-4.5.
    inner, outer = math.exp(-0.5), math.exp(-4.5)
    (first, a), (second, b) = place_windows(6, 4, 0.5)
    assert (first, second) == (0, 2)
    share = inner / (inner + outer)
    np.testing.assert_allclose(a, [1, 1, share, 1 - share], rtol=1e-6)
    np.testing.assert_allclose(b, [1 - share, share, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(share, 0.982014, rtol=1e-6)  # 1 / (1 + e^-4)


@pytest.mark.parametrize("extent", [1, 4, 5, 7, 23, 64])
@pytest.mark.parametrize(("side", "overlap"), [(1, 0.5), (2, 0.5), (4, 0.0), (4, 0.5), (4, 0.9)])
def test_windows_cover_every_voxel_and_overlap_enough(extent, side, overlap):
    side = min(side, extent)
    windows = place_windows(extent, side, overlap)
    total = np.zeros(extent)
    for start, weights in windows:
        assert 0 <= start <= extent - side
        assert (weights > 0).all()
        total[start : start + side] += weights
    np.testing.assert_allclose(total, 1, atol=1e-6)
    starts = [start for start, _ in windows]
    assert all(0 < gap <= max(1, side * (1 - overlap)) for gap in np.diff(starts))
