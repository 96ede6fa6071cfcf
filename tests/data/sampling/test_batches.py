"""Shares of a batch make up the batch, and the background thread leaves the network its threads."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from data.sampling.augmentation import STRENGTHS, sample_augmentation
from data.sampling.batches import BatchStream
from data.sampling.patches import PatchOptions, PatchSampler
from tests.data.sampling.test_patches import NAMES, case


@pytest.mark.parametrize("dimensions", [2, 3])
def test_each_process_makes_its_share_of_the_same_batch(dimensions):
    options = PatchOptions(dimensions, 4, 6, (0, 1, 2), "entire-sample-area", (1, 1, 1), 5)
    augmentation = partial(sample_augmentation, STRENGTHS["strong"], flip=True)
    sampler = PatchSampler([case(seed) for seed in range(3)], NAMES, options, (3,), augmentation)
    whole = BatchStream(sampler).make(7)
    assert len(whole.image) == 5
    for rank in (0, 1):
        share = BatchStream(sampler, rank, 2).make(7)
        torch.testing.assert_close(share.image, whole.image[rank::2], rtol=0, atol=1e-5)
        assert torch.equal(share.reference, whole.reference[rank::2])


STREAMING = """
from types import SimpleNamespace
from data.sampling.batches import BatchStream
stream = BatchStream(SimpleNamespace())
stream.make = lambda number: torch.ones(2).sum()
assert len(list(stream.numbered(0, 3))) == 3
"""


def threads_after(program: str) -> str:
    """Return PyTorch's number of threads in a new process, after a program."""
    program = f"import torch\n{program}\nprint(torch.get_num_threads())"
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True).stdout


def test_a_new_process_leaves_the_network_its_threads():
    assert threads_after(STREAMING) == threads_after("")
