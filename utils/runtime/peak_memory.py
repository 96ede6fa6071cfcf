"""How much memory this process has taken."""

import sys
from pathlib import Path


def peak_memory_mb() -> float | None:
    """Largest resident memory of this process so far, in MB (10^6 bytes); None where the system does not tell.

    Linux's own record is of this program alone; `getrusage` counts what the process was before it became that, too.
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
