"""Files that exist whole or not at all: written beside their place, verified, synchronized, renamed into it."""

import contextlib
import errno
import filecmp
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from base.errors import InputError
from base.file_locks import is_at, try_lock

_TEMPORARY = re.compile(r"\.[0-9a-f]{8}\.partial\..+", re.DOTALL)
_KEPT_OF_NAME = 50  # characters at the end of a name, which hold its endings; systems allow 255 bytes
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than is allowed here (ulimit -f)",
}


@contextmanager
def replacing(path: Path | str, verify: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Give a temporary path beside `path` that takes its place when the block ends well, and is removed when not.

    The temporary name keeps the endings of `path` (``.nii.gz``), by which writers choose a format. Its content is on
    the disk before it takes the name. Missing parent folders are made. The temporary file is locked while it is
    written, so that `remove_abandoned` knows those of processes that were killed.

    Args:
        verify: called with the temporary path when the block has ended; raises where the file is not what was meant to
            be written, since some writers do not report a full disk.

    Raises:
        InputError: the file cannot be written, such as for want of room.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, descriptor = _claim(path)
    try:
        yield temporary
        if verify is not None:
            verify(temporary)
        synchronize(temporary)
        temporary.replace(path)
        synchronize(path.parent)
    except OSError as error:
        if error.filename not in (None, str(temporary)):
            raise
        raise not_written(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
        os.close(descriptor)


def not_written(path: Path | str, error: OSError) -> InputError:
    """Tell as an error of the user's why `path` was not written."""
    reason = _REASONS.get(error.errno) or error.strerror or str(error)
    return InputError(
        path, f"cannot be written ({reason})", "make room, or check its rights, then run the command again"
    )


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files in `folder` of processes that were killed while they wrote; not those in use."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if not _TEMPORARY.fullmatch(path.name):
            continue
        if path.is_symlink():
            path.unlink(missing_ok=True)
        elif path.is_file():
            with contextlib.suppress(OSError):  # another process may remove it, too
                descriptor = os.open(path, os.O_RDWR)
                try:
                    if try_lock(descriptor) and is_at(descriptor, path):
                        path.unlink()
                finally:
                    os.close(descriptor)


def is_temporary(name: str) -> bool:
    """Tell whether a file of that name is one that `replacing` writes to."""
    return bool(_TEMPORARY.fullmatch(name))


def _claim(path: Path) -> tuple[Path, int]:
    """Create an empty temporary file and lock it; its path and descriptor."""
    while True:
        temporary = path.with_name(f".{secrets.token_hex(4)}.partial.{path.name[-_KEPT_OF_NAME:]}")
        try:
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except OSError as error:
            raise not_written(path, error) from error
        # `remove_abandoned` may have come between the two.
        if try_lock(descriptor) is not False and is_at(descriptor, temporary):
            return temporary, descriptor
        os.close(descriptor)


def synchronize(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # file systems that know no such thing
            raise
    finally:
        os.close(descriptor)


def write_bytes(path: Path | str, content: bytes | memoryview) -> None:
    """Write `content`, verified, whole or not at all."""

    def verify(temporary: Path) -> None:
        if temporary.read_bytes() != content:
            raise OSError(errno.EIO, "what was written reads differently")

    with replacing(path, verify) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, verified, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def copy_file(source: Path, path: Path) -> None:
    """Copy the content of a file, verified, whole or not at all."""

    def verify(temporary: Path) -> None:
        if not filecmp.cmp(source, temporary, shallow=False):
            raise OSError(errno.EIO, "what was written reads differently")

    with replacing(path, verify) as temporary:
        shutil.copyfile(source, temporary)
