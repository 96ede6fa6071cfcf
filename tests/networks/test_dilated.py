import pytest
import torch

from networks.dilated import DilatedNetwork, dilations
from tests.networks.measures import extents_seen, parameters_of, stated_parameters

RECEPTIVE_FIELDS = (19, 35, 67, 131)


def test_dilations_double():
    assert dilations(35) == [1, 1, 2, 4, 8, 1]
    assert dilations(131) == [1, 1, 2, 4, 8, 16, 32, 1]
    with pytest.raises(ValueError, match="36"):
        dilations(36)


@pytest.mark.parametrize(
    ("dimensions", "receptive_field"), [*((2, size) for size in RECEPTIVE_FIELDS), *((3, size) for size in (19, 35))]
)
def test_an_output_voxel_depends_on_exactly_the_receptive_field(dimensions, receptive_field):
    torch.manual_seed(0)
    network = DilatedNetwork(dimensions, receptive_field, 3, features=8)
    sides, middle = [receptive_field + 4] * dimensions, (2,) * dimensions
    assert extents_seen(network, sides, [middle]) == [[receptive_field] * dimensions]


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("receptive_field", RECEPTIVE_FIELDS)
def test_the_output_is_smaller_by_the_receptive_field(dimensions, receptive_field):
    network = DilatedNetwork(dimensions, receptive_field, 3).to("meta")
    sides = [receptive_field + extra for extra in (0, 4, 1)[:dimensions]]
    assert network(torch.empty(2, 1, *sides, device="meta")).shape == (2, 3, *(1, 5, 2)[:dimensions])


def test_the_docstring_states_the_numbers_of_parameters():
    built = [DilatedNetwork(dimensions, size, 3) for dimensions in (2, 3) for size in RECEPTIVE_FIELDS]
    assert stated_parameters(DilatedNetwork) == [parameters_of(network) for network in built]
