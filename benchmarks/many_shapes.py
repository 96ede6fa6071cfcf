#!/usr/bin/env python3
"""Growth of resident memory when one process predicts volumes of 300 different shapes.

    python -m benchmarks.many_shapes

Each network runs in its own process. The first volumes load libraries and fill caches, and do not count.
"""

import multiprocessing
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import Row, run_alone
from benchmarks.networks_at_hand import untrained_network
from utils.inference.torch_networks import TorchNetwork
from utils.inference.volumes import predictor_of
from utils.runtime.resident_memory import resident_bytes

NETWORKS = {"dil2D": None, "ResNet2D": None, "UNet3D": 8}  # features; None for the default
SHAPES, FIRST = 300, 50
SIDES = (20, 60)  # fewest and most voxels along an axis
CLASSES = 3
TARGET_MB = 200.0


def run(data_folder: Path | None, work_folder: Path) -> list[Row]:
    """Return the rows; neither folder is used."""
    rows = []
    for name, features in NETWORKS.items():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            sizes = pool.apply(_resident_megabytes, (name, features))
        print(f"{name}: " + ", ".join(f"{sizes[n]:.0f} MB" for n in (0, *range(FIRST - 1, SHAPES, FIRST))), flush=True)
        growth = max(sizes[FIRST:]) - sizes[FIRST - 1]
        rows.append(Row.absolute(f"{name}, growth of memory from shape {FIRST} to {SHAPES}", growth, TARGET_MB, "MB"))
    return rows


def _resident_megabytes(name: str, features: int | None) -> list[float]:
    """Return this process's resident memory after each volume, in MB."""
    network, described = untrained_network(name, CLASSES, features)
    predict = predictor_of(TorchNetwork(network, torch.device("cpu"), described.number_of_classes), described)
    generator = np.random.default_rng(0)
    sizes = []
    for _ in range(SHAPES):
        shape = generator.integers(*SIDES, 3, endpoint=True)
        predict(generator.standard_normal((1, *shape), dtype=np.float32), [0.0])
        sizes.append(resident_bytes() / 1e6)
    return sizes


def main() -> None:
    run_alone("many shapes", run)


if __name__ == "__main__":
    main()
