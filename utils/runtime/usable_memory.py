"""Memory that networks may use: that of the GPU, or of this machine within the limit of its control group."""

import os
from pathlib import Path

_CONTROL_GROUP_LIMITS = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")  # version 2, 1


def usable_memory_bytes(root: Path = Path("/")) -> int:
    """Return the memory of this machine in bytes, or the limit of the container if it is smaller.

    Args:
        root: folder with `sys/fs/cgroup`.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([memory, *(limit for name in _CONTROL_GROUP_LIMITS if (limit := _number(root / name)))])


def device_memory_bytes(device) -> int:
    """Return the memory in bytes of a `torch.device`, a GPU or this machine."""
    if device.type != "cuda":
        return usable_memory_bytes()
    import torch

    return torch.cuda.get_device_properties(device).total_memory


def _number(path: Path) -> int | None:
    """Return the number in a file; None if there is no such file, or no number in it ("max")."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdecimal() else None
