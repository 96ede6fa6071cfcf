import torch
from torch import nn

from utils.inference.activation_memory import activation_bytes


def test_the_largest_layer_determines_the_memory():
    network = nn.Sequential(nn.Conv3d(1, 4, 3), nn.Conv3d(4, 2, 1))  # 6³ + 4 · 4³ = 472 and 6 · 4³ = 384 values
    assert activation_bytes(network, 1, (6, 6, 6)) == 3 * 4 * 472


def test_the_network_is_not_modified():
    network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4)).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    activation_bytes(network, 1, (4, 7))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not any(layer._forward_hooks for layer in network.modules())
