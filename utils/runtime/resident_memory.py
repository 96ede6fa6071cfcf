"""Resident memory of this process, and the return of its free memory to the system."""

import ctypes
import os
from pathlib import Path

_SLACK_BYTES = 128e6


def resident_bytes() -> int | None:
    """Return the resident memory of this process now; None where it is unknown (other systems than Linux)."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


class FreeMemory:
    """Returns freed memory to the system once resident memory has grown by more than 128 MB.

    glibc keeps freed blocks for later allocations. When images of many different shapes are predicted, the heap
    fragments: oneDNN caches data for each shape between the freed blocks, later allocations do not fit into the gaps,
    and these add up to several times the memory in use. Trimming takes milliseconds, and the system must clear pages
    that are allocated again; so it is done only when resident memory has grown by more than 128 MB since the last
    trim. It has no effect except on Linux with glibc.
    """

    def __init__(self):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
        self._trim = trim if resident_bytes() is not None else None
        self._limit = 0.0

    def give_back(self) -> None:
        """Return free memory to the system if resident memory has grown by more than the slack since the last time."""
        if self._trim and resident_bytes() > self._limit:
            self._trim(0)
            self._limit = resident_bytes() + _SLACK_BYTES
