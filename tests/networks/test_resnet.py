import pytest
import torch

from networks.resnet import ResNet
from tests.networks.measures import largest_extent, parameters_of, stated_parameters


@pytest.mark.parametrize(("dimensions", "axis"), [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)])
def test_the_largest_receptive_field_is_113_voxels(dimensions, axis):
    torch.manual_seed(0)
    assert "Receptive field: 113 voxels" in ResNet.__doc__
    assert largest_extent(ResNet(dimensions, 3, features=8), dimensions, axis, side=232, period=4) == 113


def test_the_docstring_states_the_numbers_of_parameters():
    assert stated_parameters(ResNet) == [parameters_of(ResNet(dimensions, 3)) for dimensions in (2, 3)]
