"""Structures that scribbles mark: against connected components, and paths by brute force."""

import numpy as np
import pytest
from scipy import ndimage

from base.label_classes import IGNORED, MARKED_IN
from data.scribbles import connected_to_marks, unmarked, without_unmarked


def by_brute_force(values: np.ndarray, marks: np.ndarray, structure: np.ndarray) -> np.ndarray:
    """Return the highest level whose component holds a mark: the components of every level, one by one."""
    limits = np.where(marks, 1, values)
    levels = np.zeros_like(values)
    for level in np.unique(limits):
        components, _ = ndimage.label(limits >= level, structure)
        held = np.unique(components[marks])
        levels[np.isin(components, held[held > 0])] = level
    return np.minimum(values, levels)


@pytest.mark.parametrize("marked_in", MARKED_IN)
@pytest.mark.parametrize("seed", range(3))
def test_levels_are_those_of_the_connected_components(marked_in, seed):
    generator = np.random.default_rng(seed)
    values = ndimage.gaussian_filter(generator.random((5, 9, 11)), 1)
    values = np.round((values - values.min()) / np.ptp(values), 1).astype(np.float32)
    marks = generator.random(values.shape) > 0.99
    structure = np.ones((3, 3, 3), int)
    if marked_in == "slices":
        structure[[0, 2]] = 0
    expected = by_brute_force(values, marks, structure)
    assert 0 < (expected < values).sum() < values.size
    np.testing.assert_array_equal(connected_to_marks(values, marks, marked_in), expected)


def scan_with_two_structures() -> tuple[np.ndarray, np.ndarray]:
    """Return labels with one structure over three slices and another far from it; the first is marked in slice 1."""
    labels = np.zeros((3, 4, 12), np.uint8)
    labels[:, 1:3, 1:4] = labels[1, 1:3, 8:10] = 1
    reference = np.full(labels.shape, IGNORED, np.uint8)
    reference[1, 1, 2], reference[1, 0, 0] = 1, 0
    return labels, reference


def test_what_touches_no_mark_is_unmarked():
    labels, reference = scan_with_two_structures()
    expected = np.zeros(labels.shape, bool)
    expected[1, 1:3, 8:10] = True
    np.testing.assert_array_equal(unmarked(labels, reference, "volumes"), expected)
    expected[[0, 2], 1:3, 1:4] = True  # slices without a mark
    np.testing.assert_array_equal(unmarked(labels, reference, "slices"), expected)


def test_a_mark_of_another_class_marks_nothing():
    labels, reference = scan_with_two_structures()
    reference[1, 1, 8] = 2
    assert unmarked(labels, reference, "volumes")[1, 1, 8]


def test_probabilities_of_unmarked_structures_become_background():
    labels, reference = scan_with_two_structures()
    first = 0.75 * (labels == 1).astype(np.float32)
    probabilities = np.stack([1 - first - 0.125, first, np.full_like(first, 0.125)])
    kept = without_unmarked(probabilities, reference, "volumes")
    np.testing.assert_array_equal(kept.sum(axis=0), 1)
    np.testing.assert_array_equal(kept[2], 0)  # of a class that is marked nowhere, nothing is left
    left = labels.copy()
    left[1, 1:3, 8:10] = 0
    np.testing.assert_array_equal(kept[1], 0.75 * left)
