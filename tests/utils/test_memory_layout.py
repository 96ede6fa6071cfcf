"""How features lie in memory must not change what training computes."""

import pytest
import torch

from networks import find_architecture
from utils.memory_layout import arranged


@pytest.mark.parametrize("features", [16, 20, 40, 44])
def test_gradients_in_bfloat16_are_numbers_whatever_the_memory_held(features):
    torch.manual_seed(0)
    network = arranged(find_architecture("dil2D").build(19, 3, features=features)).train()
    for _ in range(4):
        image = torch.randn(8, 1, 46, 46)
        held = [torch.full((200_000 * size,), torch.nan) for size in range(1, 9)]
        del held  # what is allocated next is likely to lie there
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(image)
        logits.float().square().mean().backward()
        assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def test_networks_of_slices_have_their_channels_last_where_that_is_fast():
    def is_last(name: str, **options) -> bool:
        architecture = find_architecture(name)
        network = arranged(architecture.build(architecture.receptive_field, 3, **options))
        weight = max(network.parameters(), key=lambda parameter: parameter.ndim * parameter.numel())
        return weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)

    assert is_last("dil2D") and is_last("ResNet2D")
    assert not is_last("dil2D", features=44) and not is_last("UNet2D") and not is_last("dil3D")
