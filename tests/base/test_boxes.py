import numpy as np
import pytest

from base.boxes import bounding_box


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("kind", [bool, np.uint8])
def test_the_box_spans_the_first_to_the_last_nonzero_voxel_along_each_axis(count, kind):
    rng = np.random.default_rng(count)
    mask = np.zeros((7, 9, 11), kind)
    mask[tuple(rng.integers(0, mask.shape, (count, 3)).T)] = 3
    for turned in (mask, mask[::-1].transpose(2, 0, 1)):
        voxels = np.argwhere(turned)
        box = bounding_box(turned)
        assert [part.start for part in box] == voxels.min(axis=0).tolist()
        assert [part.stop for part in box] == (voxels.max(axis=0) + 1).tolist()


def test_the_margin_is_clipped_to_the_volume():
    mask = np.zeros((5, 6, 7), bool)
    mask[1, 3, 6] = True
    grown = mask[bounding_box(mask, (2, 1, 3))]
    assert grown.shape == (4, 3, 4)
    assert grown[1, 1, 3]


def test_the_box_of_an_empty_mask_is_empty():
    assert np.zeros((3, 4, 5))[bounding_box(np.zeros((3, 4, 5), bool), (1, 1, 1))].size == 0
