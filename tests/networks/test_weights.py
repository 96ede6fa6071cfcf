from dataclasses import replace

import numpy as np
import pytest
import torch

from base.errors import InputError
from base.intensity_records import IntensityRange
from base.label_classes import parse_classes
from networks import ARCHITECTURES
from networks.description import NetworkDescription
from networks.members import not_trained_on
from networks.weights import load_weights, save_weights

DESCRIPTION = {
    "experiment": "e",
    "architecture": "dil2D",
    "receptive_field": 19,
    "sample_size": 8,
    "planes": (0,),
    "classes": parse_classes("0,1,2").to_json(),
    "predicts_uncertainty": False,
    "normalization": {"kind": "zscore", "window": [0.0, 0.0], "mean": 0.0, "deviation": 1.0},
    "voxel_size_mm": [3.0, 3.0, 5.0],
    "training_cases": ["case_00000"],
    "soft_labels": None,
    "parameters": 42211,
    "validation_dice": [0.5, 0.25],
}


def described(**more) -> NetworkDescription:
    """Return the description of weights of an earlier version, with the entries in `more` added or replaced."""
    return NetworkDescription.from_json({**DESCRIPTION, **more})


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    network = described().build()
    save_weights(tmp_path / "FINAL_e_1.pth", network, described())
    return tmp_path / "FINAL_e_1.pth", network


def test_a_loaded_network_equals_the_saved_one(weights):
    path, network = weights
    trained = load_weights(path)
    image = torch.randn(1, 1, 21, 21)
    assert torch.equal(trained.build()(image), network.eval()(image))
    assert trained.description.classes.names == ("0", "1", "2")
    assert not trained.description.is_student


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=lambda architecture: architecture.name)
def test_the_description_is_enough_to_build_any_network(tmp_path, architecture):
    options = architecture.options(features=3, dropout=0.4, deep_supervision=architecture.can_be_deeply_supervised)
    receptive_field = min(architecture.receptive_fields)
    description = described(**options, architecture=architecture.name, receptive_field=receptive_field)
    network = description.build()
    description = replace(description, parameters=sum(parameter.numel() for parameter in network.parameters()))
    save_weights(tmp_path / "FINAL_e_1.pth", network, description)
    trained = load_weights(tmp_path / "FINAL_e_1.pth")
    rebuilt = trained.build()
    assert [module.p for module in rebuilt.modules() if isinstance(module, torch.nn.Dropout)] == [0.4]
    image = torch.randn(1, 1, *[architecture.input_size(5, receptive_field)] * architecture.dimensions)
    assert torch.equal(rebuilt(image), network.eval()(image))


def test_weights_hold_the_intensities_of_the_training_scans(weights):
    """Weights of earlier versions hold none."""
    path, _ = weights
    assert load_weights(path).description.intensities is None
    pairs = {name: [0.0, 1.0] for name in ("percentiles", "low", "high", "spread")}
    intensities = {**pairs, "kind": "zscore", "median_spread": 1.0, "foreground": None}
    for wrong in ({}, {"kind": "other"}, {"low": 0.0}, {"foreground": [1.0]}):
        content = torch.load(path, weights_only=True)
        content["description"]["intensities"] = {**intensities, **wrong}
        torch.save(content, path)
        if wrong:
            with pytest.raises(InputError, match="contradict their description"):
                load_weights(path)
        else:
            assert load_weights(path).description.intensities == (IntensityRange.from_json(intensities),)


def test_the_description_holds_what_inference_needs():
    dilated, unet = described(), described(architecture="UNet3D", receptive_field=100)
    assert (dilated.dimensions, dilated.pads, dilated.fixed_size, dilated.number_of_outputs) == (2, False, False, 3)
    assert (unet.dimensions, unet.pads, unet.fixed_size) == (3, True, True)


def test_options_that_contradict_are_refused_with_both_values(weights):
    trained = load_weights(weights[0])
    trained.check("--receptive-field-size", 19, 19)
    trained.check("--receptive-field-size", None, 19)
    with pytest.raises(InputError, match=r"--receptive-field-size: 35 contradicts .* says 19"):
        trained.check("--receptive-field-size", 35, 19)
    with pytest.raises(InputError, match=r"0,3 contradicts .* says 0,1,2"):
        trained.check_classes(parse_classes("0,3"))


def test_damaged_and_foreign_files_are_refused(weights, tmp_path):
    whole = weights[0].read_bytes()
    for name, content in (("cut.pth", whole[: len(whole) // 2]), ("empty.pth", b""), ("text.pth", b"hello")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            load_weights(tmp_path / name)
    torch.save({"state": {}}, tmp_path / "foreign.pth")
    with pytest.raises(InputError, match="no weights of this program"):
        load_weights(tmp_path / "foreign.pth")


def test_flipped_bits_never_change_the_weights_unnoticed(weights, tmp_path):
    """Each is detected, or lies in bytes that are not read."""
    path, network = weights
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    detected = 0
    for place in rng.integers(len(whole), size=60).tolist():
        content = bytearray(whole)
        content[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "damaged.pth").write_bytes(content)
        try:
            state = load_weights(tmp_path / "damaged.pth").build().state_dict()
        except InputError:
            detected += 1
        else:
            assert all(torch.equal(state[name], values) for name, values in network.state_dict().items())
    assert detected > 40


def with_infinity(content):
    content["state"]["layers.19.bias"][0] = float("inf")


def with_another_shape(content):
    content["state"]["layers.19.bias"] = torch.zeros(4)


def with_far_too_many_features(content):
    content["description"]["features"] = 10**9


def with_a_tensor_of_many_views_of_one_value(content):
    content["state"]["layers.0.weight"] = torch.zeros(1).expand(10**12)


def without_normalization(content):
    del content["description"]["normalization"]


def with_voxels_of_negative_size(content):
    content["description"]["voxel_size_mm"] = [3.0, -3.0, 5.0]


def with_a_patch_larger_than_memory(content):
    content["description"]["sample_size"] = 10**6


def with_another_number_of_parameters(content):
    content["description"]["parameters"] = -1


def with_an_impossible_validation_dice(content):
    content["description"]["validation_dice"] = [0.5, 10.0]


def with_the_validation_dice_of_other_classes(content):
    content["description"]["validation_dice"] = [0.5]


@pytest.mark.parametrize(
    "change",
    [
        with_another_number_of_parameters,
        with_an_impossible_validation_dice,
        with_the_validation_dice_of_other_classes,
        with_infinity,
        with_another_shape,
        with_far_too_many_features,
        with_a_tensor_of_many_views_of_one_value,
        without_normalization,
        with_voxels_of_negative_size,
        with_a_patch_larger_than_memory,
    ],
)
def test_weights_that_contradict_their_description_are_refused(weights, change):
    path, _ = weights
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    with pytest.raises(InputError, match="contradict their description"):
        load_weights(path)


class Trap:
    """Object that runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_code_in_a_file_is_never_run(tmp_path):
    torch.save({"format": Trap(tmp_path / "sprung")}, tmp_path / "trap.pth")
    with pytest.raises(InputError, match=r"trap\.pth"):
        load_weights(tmp_path / "trap.pth")
    assert not (tmp_path / "sprung").exists()


def test_a_student_that_predicts_uncertainty_has_one_channel_more():
    description = described(predicts_uncertainty=True)
    assert description.build().eval()(torch.zeros(1, 1, 19, 19)).shape[1] == 4
    assert description.number_of_outputs == 4


def test_cases_of_the_initial_weights_count_as_training_cases(tmp_path):
    def trained_on(*cases, **more):
        description = described(training_cases=cases, **more)
        save_weights(tmp_path / "FINAL_e_1.pth", description.build(), description)
        return load_weights(tmp_path / "FINAL_e_1.pth")

    fresh, warm = trained_on("a"), trained_on("a", initial_weights={"other": "0"}, initial_cases=["b"])
    assert not_trained_on("b", "b", [fresh, warm]) == [fresh]
    assert not_trained_on("c", "c", [fresh, warm]) == [fresh, warm]
    with pytest.raises(InputError, match="every member was trained on b"):
        not_trained_on("b", "b", [warm])


def test_all_cases_of_a_training_patient_count_as_training_cases(tmp_path):
    """Patients of the initial weights count, too; weights of earlier versions hold only cases."""

    def trained_on(**more):
        description = described(**{"training_cases": ["p1_ed"], **more})
        save_weights(tmp_path / "FINAL_e_1.pth", description.build(), description)
        return load_weights(tmp_path / "FINAL_e_1.pth")

    earlier, other = trained_on(), trained_on(training_cases=["p2_ed"], training_patients=["p2"])
    own, warm = trained_on(training_patients=["p1"]), trained_on(training_patients=["p3"], initial_patients=["p1"])
    assert not_trained_on("p1_es", "p1", [earlier, own, warm, other]) == [earlier, other]
    assert not_trained_on("p1_ed", "p1", [earlier, own, warm, other]) == [other]
