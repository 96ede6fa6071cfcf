"""Limits of time and memory for reading a file that may be anything. For a process whose end costs nothing else."""

import contextlib
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def reading_limits(seconds: float, size: int) -> Iterator[None]:
    """While entered, end this process (SIGALRM) after so many seconds; refuse it more than `size` bytes of new memory.

    A library that hangs in a damaged file cannot be interrupted otherwise. Memory is refused as MemoryError, or as
    whatever a library makes of it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = _bytes_in_use() + size
    if hard == resource.RLIM_INFINITY or most <= hard:
        with contextlib.suppress(OSError, ValueError):  # systems without such a limit
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _bytes_in_use() -> int:
    """Virtual memory of this process, in bytes."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 2**40  # no Linux
    return pages * resource.getpagesize()
