"""Trained networks, whose predictions are realistic, so that the time to process them is as well."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch

from benchmarks.material import ROOT
from networks import find_architecture
from networks.weights import load_weights, save_weights

CLASSES = "0,1,2"


def trained_network(data_folder: Path, save_folder: Path, receptive_field: int, iterations: int = 300) -> Path:
    """Return the weights of a dil2D, trained once for a few minutes at most."""
    options = ["-n", "dil2D", "-i", iterations, "--receptive-field-size", receptive_field, "--sample-size", 24, "-b", 8]
    return train_once(data_folder, save_folder, f"rf{receptive_field}", options, iterations)


def train_once(data_folder: Path, save_folder: Path, name: str, options: Sequence[object], iterations: int) -> Path:
    """Return the weights of the experiment `name`, trained unless it is finished."""
    command = [sys.executable, "training_network.py", "-d", data_folder, "-s", save_folder, "-r", name, *options]
    command += ["--classes", CLASSES, "--validate-every", iterations, "--checkpoint-every", "50", "--visdom-port", "0"]
    subprocess.run([*map(str, command), "--resume"], cwd=ROOT, check=True)
    return save_folder / name / f"FINAL_{name}_{iterations}.pth"


def untrained_network(
    name: str, number_of_classes: int, features: int | None = None, sample_size: int | None = None
) -> tuple[torch.nn.Module, SimpleNamespace]:
    """Return a network of random weights, seed 0, and what inference must know of it."""
    architecture = find_architecture(name)
    torch.manual_seed(0)
    network = architecture.build(architecture.receptive_field, number_of_classes, features).eval()
    described = SimpleNamespace(
        dimensions=architecture.dimensions,
        pads=architecture.pads,
        fixed_size=architecture.fixed_size,
        planes=(0, 1, 2),
        sample_size=sample_size or architecture.sample_size,
        number_of_classes=number_of_classes,
        predicts_uncertainty=False,
        mirrored_axes=(),
    )
    return network, described


def members_like(weights: Path, folder: Path, count: int) -> list[Path]:
    """Return the weights of `count` networks, those at `weights` with noise, as members of an ensemble."""
    trained = load_weights(weights)
    paths = []
    for number in range(count):
        name = f"member{number}"
        network = trained.build()
        generator = torch.Generator().manual_seed(number)
        with torch.no_grad():
            for parameter in network.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter += 0.02 * float(parameter.abs().mean()) * noise
        paths.append(folder / name / f"FINAL_{name}_1.pth")
        save_weights(paths[-1], network, replace(trained.description, experiment=name))
    return paths
