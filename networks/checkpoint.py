"""Checkpoints of a training (`LAST.pth`): what the next step depends on, and the rows of the log so far."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from base.errors import InputError
from base.json_files import check_shape
from networks.torch_files import check_tensor, check_tensors, read_torch_file, write_torch_file

_NUMBER = (None, int, float)
_MOMENTS_OF_ADAM, _MOMENTS_OF_SGD = {"step", "exp_avg", "exp_avg_sq"}, {"momentum_buffer"}


def save_checkpoint(path: Path, experiment: str, training: dict, rows: Sequence[dict]) -> None:
    """Write the state of a training and the rows of its log, whole or not at all."""
    write_torch_file(path, {"experiment": experiment, "training": training, "rows": list(rows)})


def load_checkpoint(
    path: Path, experiment: str, fresh: Mapping, parameters: Sequence[torch.Tensor], columns: Sequence[str]
) -> tuple:
    """Read a checkpoint of the training whose state before its first step is `fresh`.

    Args:
        experiment: its name; checkpoints of earlier versions do not tell theirs.
        parameters: of its network, in the optimizer's order.
        columns: that a row of its log has.

    Returns:
        the state, and the rows of the log.

    Raises:
        InputError: the file is missing or damaged, or is not of this training.
    """
    remedy = "restore it, or remove it and --resume: the training begins anew"
    content = read_torch_file(path, remedy)
    try:
        check_shape(content, {"training": {str: object}, "rows": [{column: _NUMBER for column in columns}]})
        if content.get("experiment", experiment) != experiment:
            raise ValueError("it is of another experiment")
        _check_training(content["training"], fresh, parameters)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(path, f"is no checkpoint of this training ({reason})", remedy) from None
    return content["training"], content["rows"]


def _check_training(state: Mapping, fresh: Mapping, parameters: Sequence[torch.Tensor]) -> None:
    if state.keys() != fresh.keys():
        raise ValueError("other things are stored")
    check_shape(state, {"iteration": int, "loss_count": int, "schedule": {str: object}, "optimizer": {str: object}})
    if state["iteration"] < 1:
        raise ValueError(f"iteration {state['iteration']}")
    check_tensors(state["network"], fresh["network"])
    check_tensor("loss_sum", state["loss_sum"].cpu(), fresh["loss_sum"].cpu())
    _check_alike("schedule", state["schedule"], fresh["schedule"])
    if state["schedule"]["last_epoch"] != state["iteration"]:
        raise ValueError("the schedule is at another iteration")
    optimizer = state["optimizer"]
    _check_alike("optimizer", optimizer["param_groups"], fresh["optimizer"]["param_groups"])
    if optimizer["state"].keys() != set(range(len(parameters))):
        raise ValueError("the optimizer knows other weights")
    names = _MOMENTS_OF_ADAM if "betas" in fresh["optimizer"]["param_groups"][0] else _MOMENTS_OF_SGD
    for number, moments in optimizer["state"].items():
        if moments.keys() != names:
            raise ValueError("the optimizer keeps other moments")
        for name, moment in moments.items():
            like = parameters[number].detach()
            check_tensor(f"{name} of weight {number}", moment, like if moment.ndim else moment.new_zeros(()))


def _check_alike(place: str, found, expected) -> None:
    """Raise ValueError where plain values are not those expected; numbers may be other numbers."""
    if isinstance(expected, Mapping):
        if not isinstance(found, Mapping) or found.keys() != expected.keys():
            raise ValueError(f"{place} has other fields")
        for key, value in expected.items():
            _check_alike(f"{place} {key}", found[key], value)
    elif isinstance(expected, list | tuple):
        if not isinstance(found, list | tuple) or len(found) != len(expected):
            raise ValueError(f"{place} has another length")
        for one, other in zip(found, expected):
            _check_alike(place, one, other)
    elif isinstance(expected, int | float) and not isinstance(expected, bool):
        check_shape(found, float, place)
    elif type(found) is not type(expected) or found != expected:
        raise ValueError(f"{place} is {found!r:.40}, not {expected!r}")
