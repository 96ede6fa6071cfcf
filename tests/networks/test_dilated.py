import re

import pytest
import torch

from networks.dilated import DilatedNetwork, dilations

RECEPTIVE_FIELDS = (19, 35, 67, 131)


def test_dilations_double():
    assert dilations(35) == [1, 1, 2, 4, 8, 1]
    assert dilations(131) == [1, 1, 2, 4, 8, 16, 32, 1]
    with pytest.raises(ValueError, match="36"):
        dilations(36)


@pytest.mark.parametrize("receptive_field", RECEPTIVE_FIELDS)
def test_one_output_voxel_sees_the_receptive_field_and_no_more(receptive_field):
    torch.manual_seed(0)
    network = DilatedNetwork(2, receptive_field, 3).double().eval()
    side = receptive_field + 4
    image = torch.randn(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    logits = network(image)
    assert logits.shape == (1, 3, 5, 5)
    logits[0, :, 2, 2].sum().backward()
    seen = image.grad[0, 0] != 0
    inside = slice(2, 2 + receptive_field)
    rows, columns = torch.nonzero(seen, as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, side - 3, 2, side - 3)
    assert seen[inside, inside].float().mean() > 0.5  # ReLU closes some ways


def test_the_docstring_states_the_numbers_of_parameters():
    stated = [int(number.replace(",", "")) for number in re.findall(r"\d\d,\d{3}", DilatedNetwork.__doc__)]
    built = [DilatedNetwork(2, receptive_field, 3).parameters() for receptive_field in RECEPTIVE_FIELDS]
    assert stated == [sum(parameter.numel() for parameter in parameters) for parameters in built]
