"""Atomic file writing: write to a temporary file in the same folder, verify, synchronize, then rename."""

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
_LONGEST_SUFFIX = 50  # characters kept from the end of a name, including its extensions; systems allow 255 bytes
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than the limit for files (ulimit -f)",
}


@contextmanager
def replacing(path: Path | str, verify: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` on success, remove it on failure.

    The temporary name keeps the extensions of `path` (``.nii.gz``), because writers choose the format by them. The
    content is synchronized to the disk before the file is renamed. Missing parent folders are created. The temporary
    file is locked while it is written, so that `remove_abandoned` can recognize files of killed processes.

    Args:
        verify: called with the temporary path after the block; it raises if the file does not have the intended
            content, because some writers do not report a full disk.

    Raises:
        InputError: the file cannot be written, for example because the disk is full.
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
    """Return the InputError that explains why `path` was not written."""
    reason = _REASONS.get(error.errno) or error.strerror or str(error)
    return InputError(
        path, f"cannot be written ({reason})", "free some space or check the permissions, then run the command again"
    )


def remove_abandoned(folder: Path) -> None:
    """Remove temporary files that killed processes left in `folder`; keep those that are still in use."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if not _TEMPORARY.fullmatch(path.name):
            continue
        if path.is_symlink():
            path.unlink(missing_ok=True)
        elif path.is_file():
            with contextlib.suppress(OSError):  # another process may have removed it
                descriptor = os.open(path, os.O_RDWR)
                try:
                    if try_lock(descriptor) and is_at(descriptor, path):
                        path.unlink()
                finally:
                    os.close(descriptor)


def is_temporary(name: str) -> bool:
    """Return whether `name` is that of a temporary file made by `replacing`."""
    return bool(_TEMPORARY.fullmatch(name))


def _claim(path: Path) -> tuple[Path, int]:
    """Create and lock an empty temporary file; return its path and file descriptor."""
    while True:
        temporary = path.with_name(f".{secrets.token_hex(4)}.partial.{path.name[-_LONGEST_SUFFIX:]}")
        try:
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except OSError as error:
            raise not_written(path, error) from error
        # Another process may have removed the file (`remove_abandoned`) before it was locked.
        if try_lock(descriptor) is not False and is_at(descriptor, temporary):
            return temporary, descriptor
        os.close(descriptor)


def synchronize(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the file system does not support fsync here
            raise
    finally:
        os.close(descriptor)


def write_bytes(path: Path | str, content: bytes | memoryview) -> None:
    """Write `content` to `path` atomically and verify it."""

    def verify(temporary: Path) -> None:
        if temporary.read_bytes() != content:
            raise OSError(errno.EIO, "the written file has different content")

    with replacing(path, verify) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically and verified."""
    write_bytes(path, text.encode("utf-8"))


def copy_file(source: Path, path: Path) -> None:
    """Copy the content of `source` to `path` atomically and verify it."""

    def verify(temporary: Path) -> None:
        if not filecmp.cmp(source, temporary, shallow=False):
            raise OSError(errno.EIO, "the written file has different content")

    with replacing(path, verify) as temporary:
        shutil.copyfile(source, temporary)
