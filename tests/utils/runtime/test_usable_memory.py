"""Memory that networks may use: that of the machine, or the limit of a container."""

import os

import pytest
import torch

from utils.runtime.usable_memory import device_memory_bytes, usable_memory_bytes

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("memory.max", "1048576\n", 2**20),
        ("memory.max", "max\n", MACHINE),
        ("memory/memory.limit_in_bytes", "1048576\n", 2**20),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", MACHINE),
        ("cpu.max", "1 1\n", MACHINE),
    ],
)
def test_the_limit_of_a_container_counts_if_it_is_smaller(tmp_path, file, text, expected):
    path = tmp_path / "sys/fs/cgroup" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert usable_memory_bytes(tmp_path) == expected


def test_memory_of_the_cpu_is_that_of_the_machine():
    assert device_memory_bytes(torch.device("cpu")) == usable_memory_bytes()
