"""Usable cores from control group hierarchies, and the resulting numbers of threads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk

from tests.conftest import ROOT
from utils.runtime import threads
from utils.runtime.processes import Processes
from utils.runtime.threads import describe_place, job_threads, network_threads, usable_cores, use_image_threads

CORES = 16
VERSION_2 = "0::/batch/job\n"
VERSION_1 = "5:memory:/batch\n4:cpu,cpuacct:/batch/job\n1:cpuset:/\n0::/\n"


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(CORES)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.fixture
def system(tmp_path):
    """Return a function that writes files of a root folder and returns the folder."""

    def write(group: str, files: dict[str, str]) -> Path:
        for name, text in {"proc/self/cgroup": group, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def of_version_1(folder: str, quota: str, period: str = "100000") -> dict[str, str]:
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": f"{period}\n"}


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("400000 100000", 4),
        ("250000 100000", 3),  # 2.5 cores
        ("10000 100000", 1),
        ("3200000 100000", CORES),
        ("max 100000", CORES),
        ("400000", CORES),  # this and the following are malformed or unlimited
        ("", CORES),
        ("0 100000", CORES),
        ("400000 0", CORES),
        ("-4 -1", CORES),
        ("many cores", CORES),
    ],
)
def test_a_quota_of_version_2(system, quota, cores):
    assert usable_cores(system(VERSION_2, {"sys/fs/cgroup/batch/job/cpu.max": f"{quota}\n"})) == cores


@pytest.mark.parametrize(("quota", "cores"), [("400000", 4), ("150000", 2), ("-1", CORES), ("nonsense", CORES)])
@pytest.mark.parametrize("mount", ["sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/cpu"])
def test_a_quota_of_version_1(system, mount, quota, cores):
    assert usable_cores(system(VERSION_1, of_version_1(f"{mount}/batch/job", quota))) == cores


def test_the_smallest_quota_of_a_group_and_its_parents_counts(system):
    files = {
        "sys/fs/cgroup/batch/job/cpu.max": "800000 100000",
        "sys/fs/cgroup/batch/cpu.max": "300000 100000",
        "sys/fs/cgroup/cpu.max": "max 100000",
        "sys/fs/cgroup/batch/other/cpu.max": "100000 100000",
    }
    assert usable_cores(system(VERSION_2, files)) == 3
    files = of_version_1("sys/fs/cgroup/cpu/batch/job", "-1") | of_version_1("sys/fs/cgroup/cpu/batch", "500000")
    assert usable_cores(system(VERSION_1, {**files, "sys/fs/cgroup/batch/cpu.max": "max 100000"})) == 5


@pytest.mark.parametrize("name", ["/docker/0123abcd", "/../../host", "/"])
def test_a_group_that_is_not_below_the_mount_is_the_mount_itself(system, name):
    assert usable_cores(system(f"0::{name}\n", {"sys/fs/cgroup/cpu.max": "200000 100000"})) == 2
    assert usable_cores(system(f"4:cpu:{name}\n", of_version_1("sys/fs/cgroup/cpu", "100000"))) == 1


@pytest.mark.parametrize("group", ["", "nonsense\n", ":::\n", "0:\n"])
def test_an_unreadable_quota_is_ignored(system, tmp_path, group):
    assert usable_cores(tmp_path / "nowhere") == CORES
    assert usable_cores(system(group, {"sys/fs/cgroup/batch/job/cpu.max": "100000 100000"})) == CORES


def test_without_affinity_all_cores_count(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert usable_cores(tmp_path) == 12


def test_processes_of_one_machine_share_its_cores(monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: 8)
    assert [network_threads(Processes(local_count=count)) for count in (1, 3, 20)] == [8, 2, 1]
    assert [job_threads(jobs, Processes(local_count=2)) for jobs in (1, 3, 20)] == [4, 1, 1]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert network_threads(Processes.of_environment()) == 2


@pytest.mark.parametrize(("number", "expected"), [("1", 1), ("6,2", 6), ("12", 8), ("0", 8), ("nonsense", 8)])
def test_a_smaller_omp_num_threads_takes_precedence(monkeypatch, number, expected):
    monkeypatch.setattr(threads, "usable_cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", number)
    assert network_threads(Processes()) == expected


def test_threads_of_simpleitk(monkeypatch):
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    use_image_threads(3)
    assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == 3
    use_image_threads(before)


def test_device_and_threads_are_described():
    assert describe_place("cpu", 2) == "on cpu, 2 threads"
    assert describe_place("cuda:0", 1) == "on cuda:0, 1 thread"


PROGRAM = """
import os
{before}
import torch
from utils.runtime.processes import Processes
from utils.runtime.threads import use_threads
print(use_threads({asked}, Processes()), torch.get_num_threads())
from types import SimpleNamespace
from data.sampling.batches import BatchStream
stream = BatchStream(SimpleNamespace())
stream.make = lambda number: torch.ones(2).sum()
list(stream.numbered(0, 3))
print(torch.get_num_threads())
"""


def threads_in_a_new_process(before: str, asked: int | None) -> list[int]:
    """Return the number that it reports, PyTorch's number, and PyTorch's number after batches from the background."""
    command = [sys.executable, "-c", PROGRAM.format(before=before, asked=asked)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [int(number) for number in process.stdout.split()]


def test_pytorch_gets_the_requested_threads_and_keeps_them():
    assert threads_in_a_new_process("", 3) == [3, 3, 3]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no CPU affinity")
def test_a_process_pinned_to_one_core_has_one_thread():
    keep = "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    assert threads_in_a_new_process(keep, None) == [1, 1, 1]
