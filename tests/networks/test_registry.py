import inspect
from importlib import import_module

import pytest
import torch

from base.errors import InputError
from networks import ARCHITECTURES, find_architecture

EACH = pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=lambda architecture: architecture.name)
PADDED = [architecture for architecture in ARCHITECTURES.values() if architecture.pads]


def small(architecture, **options):
    """Build a narrow network with the smallest receptive field."""
    torch.manual_seed(0)
    return architecture.build(min(architecture.receptive_fields), 3, features=4, **options)


def image_for(architecture, samples=2):
    side = architecture.input_size(8, min(architecture.receptive_fields))
    return torch.randn(samples, 1, *[side] * architecture.dimensions)


@pytest.mark.parametrize(
    ("given", "name"), [("DIL3d", "dil3D"), ("Unet3D", "UNet3D"), ("unet2d", "UNet2D"), ("Resnet3D", "ResNet3D")]
)
def test_names_are_case_insensitive(given, name):
    assert find_architecture(given).name == name


def test_an_unknown_name_is_refused_and_the_known_ones_listed():
    with pytest.raises(InputError, match="choose from dil2D, dil3D, UNet2D, UNet3D, ResNet2D, ResNet3D"):
        find_architecture("VNet")


@EACH
def test_the_registry_agrees_with_the_class(architecture):
    assert architecture.receptive_field in architecture.receptive_fields
    network_class = getattr(import_module(architecture.module), architecture.builder)
    arguments = inspect.signature(network_class).parameters
    assert architecture.features == arguments["features"].default
    assert architecture.dropout == arguments["dropout"].default
    assert architecture.can_be_deeply_supervised == ("deep_supervision" in arguments)
    assert str(architecture.receptive_field) in network_class.__doc__


def test_impossible_receptive_fields_are_refused_and_the_possible_ones_listed():
    with pytest.raises(InputError, match="dil3D cannot have 36; it can have 19, 35, 67, 131"):
        find_architecture("dil3D").check_receptive_field(36)
    with pytest.raises(InputError, match="ResNet2D cannot have 35; it can have 113"):
        find_architecture("ResNet2D").build(35, 3)


@EACH
def test_networks_with_instance_normalization_have_a_fixed_size(architecture):
    layers = small(architecture).modules()
    instance = (torch.nn.InstanceNorm2d, torch.nn.InstanceNorm3d)
    assert architecture.fixed_size == any(isinstance(layer, instance) for layer in layers)


@EACH
def test_a_network_classifies_the_sample_area(architecture):
    network = small(architecture).eval()
    assert network(image_for(architecture)).shape == (2, 3, *[8] * architecture.dimensions)


@pytest.mark.parametrize("architecture", PADDED, ids=lambda architecture: architecture.name)
@pytest.mark.parametrize("sides", [(1, 1, 1), (1, 23, 9), (13, 2, 31), (16, 16, 16)])
def test_networks_that_pad_accept_images_of_any_size(architecture, sides):
    sides = sides[-architecture.dimensions :]
    network = small(architecture)
    image = torch.randn(1, 1, *sides)
    for mode in (True, False):
        logits = network.train(mode)(image)
        assert logits.shape == (1, 3, *sides)
        assert torch.isfinite(logits).all()


@EACH
def test_gradients_reach_every_parameter(architecture):
    options = {"deep_supervision": True} if architecture.can_be_deeply_supervised else {}
    network = small(architecture, dropout=0.1, **options)
    logits = network(image_for(architecture))
    levels = logits if isinstance(logits, list) else [logits]
    sum((level * torch.randn_like(level)).sum() for level in levels).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@EACH
def test_dropout_is_active_only_in_training(architecture):
    image = image_for(architecture)
    network = small(architecture, dropout=0.5)
    with torch.no_grad():
        assert not torch.equal(network(image), network(image))
        assert torch.equal(network.eval()(image), network(image))
        without = small(architecture, dropout=0.0)
        assert torch.equal(without(image), without(image))


def test_options_are_completed_with_defaults():
    architecture = find_architecture("ResNet3D")
    assert architecture.options() == {"features": 16, "dropout": 0.2, "deep_supervision": False}
    assert architecture.options(features=8, dropout=0.0)["dropout"] == 0.0
    assert find_architecture("UNet2D").options(deep_supervision=True)["deep_supervision"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"deep_supervision": True}, "--deep-supervision: dil2D .*UNet2D or UNet3D"),
        ({"features": 0}, "--features: 0"),
        ({"dropout": 1.0}, "--dropout: 1.0"),
        ({"dropout": -0.1}, "--dropout: -0.1"),
    ],
)
def test_invalid_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        find_architecture("dil2D").build(35, 3, **options)
