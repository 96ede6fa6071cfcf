"""Locks that allow one process at a time per output folder; a second process is told which one holds the lock."""

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from base.atomic_file import remove_abandoned
from base.errors import InputError
from base.file_locks import is_at, try_lock

LOCK = ".lock"
_CANNOT_WRITE = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def locked(folder: Path, wanted: bool = True) -> Iterator[None]:
    """Lock `folder` for this process, and create it if it is missing; do nothing unless `wanted`.

    The lock is released when the process ends, even if it is killed. Temporary files that killed processes left in
    the folder are removed, and so are folders that were created for the lock and stayed empty. A read-only folder is
    not locked.

    Raises:
        InputError: another process holds the lock.
    """
    if not wanted:  # another process of the same stage holds the lock
        yield
        return
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = _acquire(folder)
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        yield
        return
    try:
        remove_abandoned(folder)
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / LOCK).unlink()
        os.close(descriptor)
        with contextlib.suppress(OSError):  # a folder is not empty
            for one in made:
                one.rmdir()


def _acquire(folder: Path) -> int:
    """Lock the lock file of `folder`, write into it who holds it, and return its descriptor."""
    path = folder / LOCK
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        taken = try_lock(descriptor)
        if taken is False:
            holder = os.read(descriptor, 200).decode("utf-8", "replace").strip()
            os.close(descriptor)
            raise InputError(
                folder, f"is in use by {holder or 'another process'}", "wait until it has ended, or use another folder"
            )
        if taken is None or is_at(descriptor, path):  # otherwise the previous holder has just removed it
            break
        os.close(descriptor)
    began = datetime.now().astimezone().isoformat(" ", "seconds")
    holder = f"{Path(sys.argv[0]).name} (process {os.getpid()} on {socket.gethostname()}, since {began})"
    os.ftruncate(descriptor, 0)
    with contextlib.suppress(OSError):  # a full disk does not affect the lock
        os.pwrite(descriptor, holder.encode("utf-8", "replace"), 0)
    return descriptor
