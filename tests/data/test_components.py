"""Tests of connected components, by hand and against SciPy's labelling of random shapes."""

import numpy as np
import pytest
from scipy import ndimage

from data.components import keep_largest


def row(*labels):
    """Return a small volume with the labels along x in its middle."""
    volume = np.zeros((3, 3, len(labels)), np.uint8)
    volume[1, 1] = labels
    return volume


@pytest.mark.parametrize(
    ("count", "kept"),
    [
        (0, (1, 1, 0, 1, 0, 1, 1, 1, 0, 2, 2, 0, 2)),
        (1, (0, 0, 0, 0, 0, 1, 1, 1, 0, 2, 2, 0, 0)),
        (2, (1, 1, 0, 0, 0, 1, 1, 1, 0, 2, 2, 0, 2)),
        (3, (1, 1, 0, 1, 0, 1, 1, 1, 0, 2, 2, 0, 2)),
    ],
)
def test_the_largest_components_of_each_label_are_kept(count, kept):
    """Check label 1 with components of 2, 1 and 3 voxels, and label 2 with 2 and 1."""
    np.testing.assert_array_equal(keep_largest(row(1, 1, 0, 1, 0, 1, 1, 1, 0, 2, 2, 0, 2), count), row(*kept))


def test_each_label_has_its_own_number_of_components():
    labels = row(1, 1, 0, 1, 0, 1, 1, 1, 0, 2, 2, 0, 2, 0, 3, 0, 3)
    kept = keep_largest(labels, {1: 2, 2: 1, 3: 0})  # label 3 keeps all
    np.testing.assert_array_equal(kept, row(1, 1, 0, 0, 0, 1, 1, 1, 0, 2, 2, 0, 0, 0, 3, 0, 3))


def test_voxels_that_share_a_corner_are_connected():
    """Check that (0, 0, 0) and (1, 1, 1) form a component of two voxels, larger than (3, 3, 3) alone."""
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[0, 0, 0] = labels[1, 1, 1] = labels[3, 3, 3] = 5
    expected = labels.copy()
    expected[3, 3, 3] = 0
    np.testing.assert_array_equal(keep_largest(labels, 1), expected)


def test_components_are_not_connected_through_another_label():
    """Check that the row 1 2 1 has three components; the first of the two of label 1 is kept."""
    np.testing.assert_array_equal(keep_largest(row(1, 2, 1), 1), row(1, 2, 0))


def test_the_input_is_not_modified_and_an_empty_prediction_is_accepted():
    labels = row(1, 0, 1)
    keep_largest(labels, 1)
    np.testing.assert_array_equal(labels, row(1, 0, 1))
    np.testing.assert_array_equal(keep_largest(row(0, 0, 0), 1), row(0, 0, 0))


def test_components_agree_with_scipy():
    rng = np.random.default_rng(0)
    for count in (1, 3):
        noise = ndimage.gaussian_filter(rng.normal(size=(20, 22, 24)), 1.2)
        labels = np.digitize(noise, (0.1, 0.16)).astype(np.uint8)
        expected = np.zeros_like(labels)
        for label in (1, 2):
            components, number = ndimage.label(labels == label, np.ones((3, 3, 3)))
            sizes = np.bincount(components.ravel())[1:]
            assert number > count
            assert len(set(sorted(sizes)[-count - 1 :])) == count + 1  # no ties among the largest
            largest = np.argsort(sizes)[-count:] + 1
            expected[np.isin(components, largest)] = label
        np.testing.assert_array_equal(keep_largest(labels, count), expected)
