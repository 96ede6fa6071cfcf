"""Stages in two processes, as torchrun starts them: the same results as in one, and nothing lost when one dies."""

import os
import signal
from pathlib import Path

import pytest
import torch

from networks import weights
from networks.weights import build_network
from tests.material import SMALL, rows_of
from tests.together import stage, together
from utils.training import Training


def of_training(data: Path, save: Path, name: str, *more) -> list:
    options = ["-d", data, "-s", save, "-r", name, "--classes", "0,1,2", "-i", 12, "-b", 5, "--validate-every", 4]
    return [*SMALL, *options, "--augmentation", "strong", *more]


def build_double(description: dict) -> torch.nn.Module:
    """A network in double precision: in single, patches of air bring rounding to the first digits in ten steps."""
    network = build_network(description).double()
    network.register_forward_pre_hook(lambda _, arguments: (arguments[0].double(),))
    return network


def train_until_the_second_is_told_to_stop(options: list) -> None:
    take_step = Training.step

    def step(self, batch) -> None:
        take_step(self, batch)
        if self.iteration == 7 and self.processes.rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    Training.step = step
    weights.build_network = build_double
    stage("training_network", *options)


def test_a_training_of_two_that_is_stopped_ends_in_one_as_if_it_had_been_one_all_along(
    call, kidneys, tmp_path, monkeypatch
):
    options = of_training(kidneys, tmp_path, "both", "--checkpoint-every", 100)
    first, second = together(train_until_the_second_is_told_to_stop, options)
    assert (first.status, second.status) == (143, 143), (first.output, second.output)
    assert "stopped at iteration 8;" in first.output
    assert second.output == ""
    assert torch.load(tmp_path / "both" / "LAST.pth", weights_only=True)["training"]["iteration"] == 8
    monkeypatch.setattr(weights, "build_network", build_double)
    call("training_network", *options, "--resume")
    call("training_network", *of_training(kidneys, tmp_path, "one"))
    both, one = (
        torch.load(tmp_path / name / f"FINAL_{name}_12.pth", weights_only=True)["state"] for name in ("both", "one")
    )
    assert list(both) == list(one)
    for key, expected in one.items():
        torch.testing.assert_close(both[key], expected, rtol=1e-6, atol=1e-8)
    logs = [rows_of(tmp_path / name / "log.csv") for name in ("both", "one")]
    assert [row["iteration"] for row in logs[0]] == ["4", "8", "12"]
    for rows in zip(*logs):
        for column in ("train_loss", "val_loss", "dice_1", "dice_2"):
            both, one = (float(row[column]) for row in rows)
            assert both == pytest.approx(one, abs=1e-6), column


def test_more_processes_than_patches_are_refused(kidneys, tmp_path):
    for process in together(stage, "training_network", *of_training(kidneys, tmp_path, "few", "-b", 1)):
        assert process.status == 2
        assert "--batch-size: 1 patches for 2 processes" in process.output
