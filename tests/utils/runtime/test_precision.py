import copy

import pytest
import torch

from networks import find_architecture
from utils.runtime.precision import choose_precision, with_precision

CPU = torch.device("cpu")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return find_architecture("UNet2D").build(100, 3, features=2, deep_supervision=True).eval()


def test_outputs_in_bfloat16_are_nearly_the_same_and_weights_are_unchanged(network):
    image = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    weights = copy.deepcopy(network.state_dict())
    with torch.inference_mode():
        expected = network(image)
        assert with_precision(network, CPU, "fp32", compiled=False)(image).equal(expected)
        found = with_precision(network, CPU, "bf16", compiled=False)(image)
    assert found.dtype == torch.float32
    difference = (found - expected).abs().max() / expected.abs().max()
    assert 1e-5 < difference < 0.05  # eight bits of precision
    assert all(torch.equal(weights[name], values) for name, values in network.state_dict().items())


def test_in_training_every_level_and_the_gradients_are_single_precision(network):
    levels = with_precision(network.train(), CPU, "bf16", compiled=False)(torch.randn(2, 1, 16, 16))
    assert [level.dtype for level in levels] == [torch.float32] * 3
    sum(level.mean() for level in levels).backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in network.parameters())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_compiled_network_runs_compiled_and_keeps_the_names_of_its_weights(network, monkeypatch, precision):
    """PyTorch's compiler takes a minute; the stub doubles the output instead."""
    image = torch.randn(2, 1, 16, 16)
    names = list(network.state_dict())
    with torch.inference_mode():
        plain = with_precision(network, CPU, precision, compiled=False)(image)
        monkeypatch.setattr(torch, "compile", lambda function: lambda *arguments: 2 * function(*arguments))
        assert with_precision(network, CPU, precision, compiled=True)(image).equal(2 * plain)
    assert list(network.state_dict()) == names


def test_without_a_gpu_auto_is_single_precision():
    assert [choose_precision(name, CPU) for name in ("auto", "fp32", "bf16")] == ["fp32", "fp32", "bf16"]


@pytest.mark.parametrize(("able", "name", "lines"), [(False, "bf16", 1), (True, "bf16", 0), (False, "fp32", 0)])
def test_a_cpu_that_only_emulates_bfloat16_gets_a_warning(monkeypatch, capsys, able, name, lines):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: able)
    assert choose_precision(name, CPU) == name
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == lines and all("--precision bf16" in line for line in warnings)
