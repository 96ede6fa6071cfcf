"""The memory format must not change what training computes."""

import pytest
import torch

from networks import find_architecture
from utils.runtime.memory_layout import to_fastest_memory_format, to_fastest_memory_format_for_training


@pytest.mark.parametrize("features", [16, 20, 40, 44])
def test_gradients_in_bfloat16_are_finite_whatever_the_memory_held(features):
    torch.manual_seed(0)
    network = to_fastest_memory_format(find_architecture("dil2D").build(19, 3, features=features)).train()
    for _ in range(4):
        image = torch.randn(8, 1, 46, 46)
        held = [torch.full((200_000 * size,), torch.nan) for size in range(1, 9)]
        del held  # the next allocations probably reuse this memory
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(image)
        logits.float().square().mean().backward()
        assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def test_2d_networks_use_channels_last_where_that_is_fast():
    def is_last(name: str, **options) -> bool:
        architecture = find_architecture(name)
        network = to_fastest_memory_format(architecture.build(architecture.receptive_field, 3, **options))
        weight = max(network.parameters(), key=lambda parameter: parameter.ndim * parameter.numel())
        return weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)

    assert is_last("dil2D") and is_last("ResNet2D")
    assert not is_last("dil2D", features=44) and not is_last("UNet2D") and not is_last("dil3D")


@pytest.mark.parametrize(
    "capability, precision, name, is_last",
    [
        ("AVX2", "fp32", "UNet3D", True),
        ("AVX2", "fp32", "dil3D", True),
        ("AVX2", "bf16", "UNet3D", False),
        ("AVX512", "fp32", "UNet3D", False),
        ("DEFAULT", "fp32", "UNet3D", False),
        ("AVX2", "fp32", "UNet2D", False),
    ],
)
def test_3d_networks_train_with_channels_last_where_that_is_fast(monkeypatch, capability, precision, name, is_last):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    network = build(name)
    to_fastest_memory_format_for_training(network, torch.device("cpu"), precision)
    layout = {4: torch.channels_last, 5: torch.channels_last_3d}
    weight = max(network.parameters(), key=lambda parameter: parameter.ndim * parameter.numel())
    assert weight.is_contiguous(memory_format=layout[weight.ndim]) == is_last


@pytest.mark.parametrize("name", ["UNet3D", "ResNet3D", "dil3D"])
def test_outputs_of_3d_networks_are_the_same_with_channels_last(monkeypatch, name):
    """Gradients differ more, where rounding moves a voxel across the kink of a ReLU: see test_layers.py."""
    image = torch.randn((2, 1, 40, 40, 40), generator=torch.Generator().manual_seed(0))
    answers = []
    for capability in ("AVX512", "AVX2"):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda known=capability: known)
        network = to_fastest_memory_format_for_training(build(name), torch.device("cpu"), "fp32").train()
        answers.append(network(image).detach())
    torch.testing.assert_close(*answers, rtol=0, atol=1e-4)


def build(name: str) -> torch.nn.Module:
    """Build a network with the same weights each time."""
    torch.manual_seed(0)
    architecture = find_architecture(name)
    return architecture.build(architecture.receptive_field, 3, features=8, dropout=0)
