"""One process at a time per output folder: a second one is refused, and told who holds it."""

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
    """Hold `folder`, which is made where it is missing, for this process alone, if that is `wanted`.

    The lock is released when the process ends, even if it is killed. What killed processes left half-written in the
    folder is removed. A folder that cannot be written to needs no lock.

    Raises:
        InputError: another process holds the folder.
    """
    if not wanted:  # another process of the same stage holds it
        yield
        return
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = _take(folder)
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
        if made:
            with contextlib.suppress(OSError):  # it holds something
                folder.rmdir()


def _take(folder: Path) -> int:
    """Lock the folder's file and say in it who holds it; the open file."""
    path = folder / LOCK
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        taken = try_lock(descriptor)
        if taken is False:
            holder = os.read(descriptor, 200).decode("utf-8", "replace").strip()
            os.close(descriptor)
            raise InputError(
                folder, f"is in use by {holder or 'another process'}", "wait until that has ended, or name another"
            )
        if taken is None or is_at(descriptor, path):  # else its last holder removed it meanwhile
            break
        os.close(descriptor)
    began = datetime.now().astimezone().isoformat(" ", "seconds")
    holder = f"{Path(sys.argv[0]).name} (process {os.getpid()} on {socket.gethostname()}, since {began})"
    os.ftruncate(descriptor, 0)
    with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
        os.pwrite(descriptor, holder.encode("utf-8", "replace"), 0)
    return descriptor
