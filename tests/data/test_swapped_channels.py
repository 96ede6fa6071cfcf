"""Tests of the warning of swapped channels, on phantoms of two channels."""

import numpy as np
import pytest

from data.intensities import own_scaling
from data.phantom import make_channels
from data.swapped_channels import features_of, swapped_channels


@pytest.fixture(scope="module")
def features():
    """Return the features of eight phantoms."""
    found = {"early": [], "late": []}
    for seed in range(0, 16, 2):  # those whose channels lie on one grid
        import SimpleITK as sitk

        images, reference = make_channels(seed, channels=2)
        foreground = sitk.GetArrayFromImage(reference) > 0
        for name, image in images.items():
            values = sitk.GetArrayFromImage(image)
            found[name].append(features_of(own_scaling("zscore", values.astype(np.float32)), values[foreground]))
    return found


def test_cases_as_they_are_give_no_warning(features):
    assert swapped_channels(features) == []


@pytest.mark.parametrize("case", [0, 5])
def test_the_one_case_with_swapped_files_is_named(features, case):
    swapped = {name: list(some) for name, some in features.items()}
    swapped["early"][case], swapped["late"][case] = features["late"][case], features["early"][case]
    assert swapped_channels(swapped) == [(case, "early", "late")]


def test_channels_that_look_alike_and_few_cases_give_no_warning(features):
    alike = {"one": features["early"], "two": features["early"][::-1]}
    assert swapped_channels(alike) == []
    few = {name: some[:3] for name, some in features.items()}
    few["early"][0], few["late"][0] = few["late"][0], few["early"][0]
    assert swapped_channels(few) == []


def test_cases_without_a_reference_are_compared_by_the_other_features(features):
    unknown = {name: [np.append(one[:3], np.nan) for one in some] for name, some in features.items()}
    assert swapped_channels(unknown) == []
