"""Free memory is returned to the system once it has grown enough, and not before."""

import ctypes
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from networks import find_architecture
from tests.conftest import ROOT
from utils.inference.torch_networks import TorchNetwork
from utils.inference.volumes import predictor_of
from utils.runtime import resident_memory
from utils.runtime.resident_memory import FreeMemory, resident_bytes

pytestmark = pytest.mark.skipif(resident_bytes() is None, reason="resident memory is unknown on this system")


@pytest.fixture
def trims(monkeypatch):
    """Replace resident memory by a number that the test sets and that each trim lowers by 30 MB; count the trims."""
    state = {"megabytes": 300, "trims": 0}

    def trim(padding: int) -> None:
        state["trims"] += 1
        state["megabytes"] -= 30

    monkeypatch.setattr(ctypes, "CDLL", lambda name: type("Library", (), {"malloc_trim": staticmethod(trim)}))
    monkeypatch.setattr(resident_memory, "resident_bytes", lambda: state["megabytes"] * 1e6)
    return state


def test_memory_is_returned_when_it_has_grown_by_more_than_the_slack(trims):
    memory = FreeMemory()
    counts = []
    for megabytes in (300, 300, 398, 399, 495, 496, 300):
        trims["megabytes"] = megabytes
        memory.give_back()
        counts.append(trims["trims"])
    assert counts == [1, 1, 1, 2, 2, 2, 2]  # beyond 270 + 128, beyond 369 + 128


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    FreeMemory().give_back()


PROGRAM = """
from utils.runtime.resident_memory import FreeMemory, resident_bytes
memory = FreeMemory()
memory.give_back()
before = resident_bytes()
blocks = [bytes(bytearray(100_000)) for _ in range(3000)]
del blocks[:-1]  # the last one keeps the heap from shrinking
memory.give_back()
print((resident_bytes() - before) / 1e6)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library")
def test_gaps_between_blocks_are_returned():
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1000000"}
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert float(process.stdout) < 10


@pytest.mark.parametrize("name", ["dil2D", "UNet3D", "ResNet2D"])
def test_predictions_are_the_same(monkeypatch, name):
    architecture = find_architecture(name)
    torch.manual_seed(1)
    network = architecture.build(architecture.receptive_field, 3)
    volumes = [np.random.default_rng(1).standard_normal(shape, dtype=np.float32) for shape in ((9, 20, 30), (8, 40, 7))]

    def predictions() -> list[np.ndarray]:
        traits = {"planes": (0, 1, 2), "sample_size": 16, "number_of_classes": 3, "predicts_uncertainty": False}
        traits |= {name: getattr(architecture, name) for name in ("dimensions", "pads", "fixed_size")}
        predict = predictor_of(TorchNetwork(network, torch.device("cpu"), 3), SimpleNamespace(**traits))
        return [predict(volume[None], [0.0]) for volume in [*volumes, *volumes]]

    monkeypatch.setattr(resident_memory, "_SLACK_BYTES", -1e12)  # after every volume
    given_back = predictions()
    monkeypatch.setattr(FreeMemory, "give_back", lambda self: None)
    for one, other in zip(given_back, predictions()):
        np.testing.assert_array_equal(one, other)
