"""Number of threads of a process: by default the cores that it may use, often fewer than the machine has.

PyTorch counts the machine's cores. On a shared node, or with a container's CPU quota, threads in excess of the usable
cores wait for one another, and a training step takes many times as long. This module imports nothing slow.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from utils.runtime.processes import Processes

_CONTROL_GROUPS = "sys/fs/cgroup"


def usable_cores(root: Path = Path("/")) -> int:
    """Return the number of cores that this process may use: the smaller of its affinity and its CPU quota.

    The quota is that of Linux control groups, rounded up to whole cores; an unreadable quota is ignored.

    Args:
        root: folder with `proc` and `sys/fs/cgroup`.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([cores, *_quotas(root)])


def network_threads(processes: Processes) -> int:
    """Return the default number of threads for networks: this process's share of the usable cores, at least 1.

    A smaller OMP_NUM_THREADS, which torchrun sets, takes precedence.
    """
    threads = max(1, usable_cores() // processes.local_count)
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # "4,2" is for two nesting levels
    return min(threads, int(limit)) if limit.isdecimal() and int(limit) else threads


def job_threads(jobs: int, processes: Processes) -> int:
    """Return the default number of threads for each of `jobs` child processes, at least 1."""
    return max(1, usable_cores() // (processes.local_count * jobs))


def use_threads(asked: int | None, processes: Processes) -> int:
    """Set the threads of PyTorch and SimpleITK to `asked`, by default `network_threads`; return their number.

    Call it before the first network runs, in the thread in which networks will run.
    """
    import torch

    threads = asked or network_threads(processes)
    # PyTorch initializes a thread at its first call there, with the number that was set last in any thread. This call
    # initializes this thread, so that it keeps its number when data.sampling.batches sets another in its own thread.
    torch.get_num_threads()
    torch.set_num_threads(threads)
    use_image_threads(threads)
    return threads


def use_image_threads(threads: int) -> None:
    """Set the number of threads of SimpleITK in this process."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def describe_place(device: object, threads: int) -> str:
    """Return device and threads as text: ``on cpu, 2 threads``."""
    return f"on {device}, {threads} thread{'s' if threads > 1 else ''}"


def _quotas(root: Path) -> Iterator[int]:
    """Yield the CPU quotas, in cores, of this process's control groups and of their parent groups."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:  # version 2: one hierarchy for all controllers
            mounts, quota_of = (_CONTROL_GROUPS, f"{_CONTROL_GROUPS}/unified"), _quota_of_version_2
        elif "cpu" in controllers.split(","):  # version 1: one hierarchy for one or several controllers
            mounts, quota_of = {f"{_CONTROL_GROUPS}/{name}" for name in (controllers, "cpu")}, _quota_of_version_1
        else:
            continue
        for mount in mounts:
            for folder in _group_folders(root / mount, path):
                if quota := quota_of(folder):
                    yield quota


def _group_folders(mount: Path, path: str) -> Iterator[Path]:
    """Yield the folder of a control group below its mount, then its parents up to the mount.

    A container may see the path of its group on the host, which does not exist below its mount: its own group is then
    the mount.
    """
    inside = PurePosixPath(*(part for part in PurePosixPath(path).parts if part not in ("/", "..")))
    for part in (inside, *inside.parents):
        yield mount / part


def _quota_of_version_2(folder: Path) -> int | None:
    return _cores(*_text(folder / "cpu.max").split()[:2])


def _quota_of_version_1(folder: Path) -> int | None:
    return _cores(*(_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")))


def _cores(quota: str = "", period: str = "") -> int | None:
    """Return quota / period (microseconds), rounded up; None without a limit (``max``, -1) or if malformed."""
    if not (quota.isdecimal() and period.isdecimal() and int(quota) and int(period)):
        return None
    return -(-int(quota) // int(period))


def _text(path: Path) -> str:
    """Return the text of a file; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
