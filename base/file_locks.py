"""Locks on files that the system releases when the process that holds them ends, however it ends (flock)."""

import errno
import fcntl
import os
from pathlib import Path

_NOT_SUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file for this process: True if that succeeds, False if another holds it.

    None where the file system has no locks; nobody can tell there who uses a file.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NOT_SUPPORTED:
            return None
        if isinstance(error, BlockingIOError | PermissionError):
            return False
        raise
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Tell whether an open file is the one at `path`: it may have been removed, or replaced, before it was locked."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
