import copy

import pytest
import torch

from base.errors import InputError
from networks.checkpoint import load_checkpoint, save_checkpoint
from utils.training.losses import TrainingLoss
from utils.training.trainer import Trainer

ROWS = [{"iteration": 1, "val_loss": 0.5, "dice_1": None}]


@pytest.fixture(params=["Adam", "SGD"])
def training(request):
    """Return the training of a network with one convolution, before its first step."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    loss = TrainingLoss("CE", None, None, None, None)
    return Trainer(network, loss, 2, 10, torch.device("cpu"), 0.01, request.param)


@pytest.fixture
def checkpoint(training, tmp_path):
    """Write a checkpoint after one step; return its path, the state before the step, and the parameters."""
    fresh = copy.deepcopy(training.state())
    training.network(torch.ones(1, 1, 4, 4)).square().sum().backward()
    training._optimizer.step()
    training._schedule.step()
    training.iteration += 1
    path = tmp_path / "LAST.pth"
    save_checkpoint(path, "one", training.state(), ROWS)
    return path, fresh, list(training.network.parameters())


def load(checkpoint, experiment="one"):
    path, fresh, parameters = checkpoint
    return load_checkpoint(path, experiment, fresh, parameters, ["iteration", "dice_1"])


def test_a_loaded_checkpoint_equals_the_saved_one(checkpoint, training):
    state, rows = load(checkpoint)
    assert rows == ROWS
    training.restore(state)
    assert training.iteration == 1


def without_a_moment(training):
    del training["optimizer"]["state"][0][sorted(training["optimizer"]["state"][0])[0]]


def with_a_moment_of_another_shape(training):
    name = next(name for name in training["optimizer"]["state"][0] if name != "step")
    training["optimizer"]["state"][0][name] = torch.zeros(7)


def with_infinite_weights(training):
    training["network"]["0.bias"][0] = float("inf")


def of_another_network(training):
    training["network"]["0.bias"] = torch.zeros(5)


def without_iteration(training):
    del training["iteration"]


def with_text_for_a_number(training):
    training["iteration"] = "1"


def with_another_schedule(training):
    training["schedule"] = {"last_epoch": "soon"}


def with_a_schedule_of_another_shape(training):
    training["schedule"]["_anneal_func_type"] = "text"


def with_a_schedule_at_another_iteration(training):
    training["schedule"]["last_epoch"] += 1


def with_weights_expanded_from_one_value(training):
    training["network"]["0.weight"] = torch.zeros(1, 1, 1, 1).expand(2, 1, 3, 3)


def with_sparse_weights(training):
    training["network"]["0.bias"] = training["network"]["0.bias"].to_sparse()


DAMAGES = [
    without_a_moment,
    with_a_moment_of_another_shape,
    with_infinite_weights,
    of_another_network,
    without_iteration,
    with_text_for_a_number,
    with_another_schedule,
    with_a_schedule_of_another_shape,
    with_a_schedule_at_another_iteration,
    with_weights_expanded_from_one_value,
    with_sparse_weights,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_checkpoints_that_do_not_match_the_training_are_refused(checkpoint, damage):
    path, _, _ = checkpoint
    content = torch.load(path, weights_only=True)
    damage(content["training"])
    torch.save(content, path)
    with pytest.raises(InputError, match=r"LAST\.pth: (is no checkpoint of this training|cannot be read)") as error:
        load(checkpoint)
    assert "the training begins anew" in str(error.value)


@pytest.mark.parametrize("rows", [[{}], [1], {"iteration": 1}, [{"iteration": "x", "dice_1": 1}]])
def test_invalid_rows_are_refused(checkpoint, rows):
    path, _, _ = checkpoint
    content = torch.load(path, weights_only=True)
    torch.save({**content, "rows": rows}, path)
    with pytest.raises(InputError, match="is no checkpoint of this training"):
        load(checkpoint)


def test_a_checkpoint_of_another_experiment_is_refused(checkpoint):
    with pytest.raises(InputError, match=r"is no checkpoint of this training .*another experiment"):
        load(checkpoint, "two")


def test_a_checkpoint_of_an_earlier_version_is_read(checkpoint):
    path, _, _ = checkpoint
    content = torch.load(path, weights_only=True)
    del content["experiment"]
    torch.save(content, path)
    state, _ = load(checkpoint)
    assert state["iteration"] == 1
