"""File locks (flock), which the system releases when the process that holds them ends, even if it is killed."""

import errno
import fcntl
import os
from pathlib import Path

_NOT_SUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def try_lock(descriptor: int) -> bool | None:
    """Try to lock an open file for this process; return True on success, False if another process holds the lock.

    Return None if the file system does not support locks, so that it is unknown whether the file is in use.
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
    """Return whether an open file is still the one at `path`: it may have been removed or replaced before the lock."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
