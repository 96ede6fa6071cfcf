"""Peak memory of this process."""

import contextlib
import sys
from pathlib import Path


def forget_peak_memory() -> None:
    """Let `peak_memory_mb` count from now on; without effect except on Linux."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_mb() -> float | None:
    """Return the largest resident memory of this process so far, in MB (10^6 bytes); None where it is unknown.

    On Linux, VmHWM is preferred: `getrusage` also counts the memory of the process before it executed this program.
    """
    status = Path("/proc/self/status")
    for line in status.read_text(encoding="utf-8").splitlines() if status.is_file() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
