import pytest
import torch
from torch import nn

from networks.unet import UNet
from tests.networks.measures import largest_extent, parameters_of, stated_parameters

_PADDED = 48


@pytest.mark.parametrize(("dimensions", "axis"), [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)])
def test_the_largest_receptive_field_is_100_voxels(dimensions, axis):
    torch.manual_seed(0)
    assert "Receptive field: 100 voxels" in UNet.__doc__
    assert largest_extent(UNet(dimensions, 3, features=2), dimensions, axis, side=208, period=8) == 100


def test_the_docstring_states_the_numbers_of_parameters():
    assert stated_parameters(UNet) == [parameters_of(UNet(dimensions, 3)) for dimensions in (2, 3)]


@pytest.mark.parametrize("sides", [(17, 30), (11, 16, 25)])
def test_deep_supervision_returns_three_levels_in_training_and_the_finest_in_evaluation(sides):
    torch.manual_seed(0)
    network = UNet(len(sides), 3, features=2, deep_supervision=True)
    image = torch.randn(2, 1, *sides)
    levels = network(image)
    assert [logits.shape for logits in levels] == [(2, 3, *sides)] * 3
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(image), levels[0])


class Columns(nn.Module):
    """A level whose output is the column of each voxel centre, in voxels of the padded image."""

    def forward(self, x):
        width = _PADDED // x.shape[-1]
        return ((torch.arange(x.shape[-1]) + 0.5) * width - 0.5).expand(1, x.shape[1] // 2, *x.shape[2:])


def test_coarser_levels_are_aligned_with_the_finest():
    network = UNet(2, 1, features=2, deep_supervision=True)
    network.decoders = nn.ModuleList(Columns() for _ in network.decoders)
    for head in network.heads:
        head.weight, head.bias = nn.Parameter(torch.zeros_like(head.weight)), None
        head.weight.data[:, 0] = 1
    for logits in network(torch.zeros(1, 1, 43, 43)):
        columns = torch.arange(43.0) + 2  # padded by 2 before and 3 after
        torch.testing.assert_close(logits[0, 0, 5], columns)
