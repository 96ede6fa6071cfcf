"""Time and memory limits for reading untrusted files, for a process that may be killed without loss."""

import contextlib
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def reading_limits(seconds: float, size: int) -> Iterator[None]:
    """Limit the time of a block to `seconds` and its additional memory to `size` bytes.

    After that time, SIGALRM kills this process, because a library that hangs on a damaged file cannot be interrupted in
    another way. Beyond the memory limit, allocations fail with MemoryError or with the library's own error.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = _bytes_in_use() + size
    if hard == resource.RLIM_INFINITY or most <= hard:
        with contextlib.suppress(OSError, ValueError):  # not every system has this limit
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
    """Return the virtual memory of this process in bytes."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 2**40  # not Linux
    return pages * resource.getpagesize()
