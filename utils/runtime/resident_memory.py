"""Resident memory of this process, and free memory of it given back to the system."""

import ctypes
import os
from pathlib import Path

_SLACK_BYTES = 128e6


def resident_bytes() -> int | None:
    """Return the memory of this process that is resident now; None where the system does not tell (only Linux does)."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


class FreeMemory:
    """Gives memory that nobody uses any more back to the system, once it has become much.

    glibc keeps freed blocks for later allocations. Where images of ever new shapes are predicted, later blocks do not
    fit into earlier gaps, since oneDNN keeps what it prepared for each shape between them: gaps add up to several
    times the memory that is in use. Looking for them costs milliseconds, and the system must clear the pages that are
    taken again: both are spared while resident memory stays within 128 MB of what it was after the last time.
    Elsewhere than on Linux with glibc nothing happens.
    """

    def __init__(self):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
        self._trim = trim if resident_bytes() is not None else None
        self._limit = 0.0

    def give_back(self) -> None:
        """Give free memory back if resident memory has grown by more than the slack since that was last done."""
        if self._trim and resident_bytes() > self._limit:
            self._trim(0)
            self._limit = resident_bytes() + _SLACK_BYTES
