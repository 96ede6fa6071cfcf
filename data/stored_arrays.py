"""Cache files of arrays that can be recomputed: written atomically, memory-mapped, and verified before use.

A file contains one line with a checksum (CRC-32) and JSON, padded with spaces to whole pages, followed by the arrays,
each of which begins at a page boundary:

    0a1b2c3d {"arrays": {"image": ["<i2", [120, 266, 266], 4096], ...}, "facts": ..., "made_of": ..., "bytes": ...}
    image    its values in C order, from byte 4096 on
"""

import ctypes
import errno
import functools
import hashlib
import json
import math
import mmap
import os
import stat
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from base.atomic_file import remove_abandoned, replacing
from base.errors import InputError
from base.json_files import check_shape, parse_json

_PAGE_BYTES = mmap.PAGESIZE
_LONGEST_HEADER = 2**22
_MODIFICATION_TIME = 1_000_000_000  # s since 1970, set after writing; any later change of the file resets it

_release_pages = ctypes.CDLL(None).madvise
_release_pages.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class StoredArrays:
    """The arrays of the file at `path` by name (`arrays`), its JSON values (`facts`) and its size in `bytes`.

    The file is memory-mapped: parts of an array are read from disk when they are accessed. No file descriptor is kept
    open, and a file that is removed later stays readable.
    """

    def __init__(self, path: Path, header: dict):
        self.path = path
        self.facts, self.bytes = header["facts"], header["bytes"]
        self._memory = _map(path, header["bytes"])
        self._extent = (self._memory.ctypes.data, header["bytes"], mmap.MADV_DONTNEED)
        self.arrays = {}
        for name, (kind, shape, offset) in header["arrays"].items():
            values = self._memory[offset : offset + math.prod(shape) * np.dtype(kind).itemsize]
            self.arrays[name] = values.view(kind).reshape(shape)

    def release(self) -> None:
        """Release the memory of the pages read so far; they are read again when they are next accessed."""
        _release_pages(*self._extent)


def stored(path: Path, made_of, make: Callable[[], tuple[dict[str, np.ndarray], object]]) -> StoredArrays:
    """Return the arrays and facts stored at `path`; compute and write them first unless the file matches `made_of`.

    Several processes may do this concurrently: all write the same content, and the last file is kept.

    Args:
        made_of: JSON values that identify the inputs of the computation.
        make: returns the arrays by name, and the facts (JSON values).

    Raises:
        OSError: the file cannot be written.
    """
    made_of = [path.parent.name, path.name, made_of]  # detects a file copied from elsewhere
    header = _read_header(path, made_of)
    if header is None:
        _write(path, made_of, *make())
        header = _read_header(path, made_of)
    if header is None:
        raise InputError(path, "is changed while it is in use", "make sure that no other program writes there")
    return StoredArrays(path, header)


def _read_header(path: Path, made_of) -> dict | None:
    """Return the header of a file, or None if the file is missing, damaged, modified, or does not match `made_of`."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or int(status.st_mtime) != _MODIFICATION_TIME:
                return None
            line = file.readline(_LONGEST_HEADER)
        checksum, _, text = line.partition(b" ")
        if checksum != _checksum(text):
            return None
        header = parse_json(text)
        _check_header(header, status.st_size)
        if header["made_of"] != json.loads(json.dumps(made_of)):
            return None
        identity = (status.st_dev, status.st_ino, status.st_ctime_ns, status.st_size)
        return header if _digest_of_values(path, identity, len(line)) == header["digest"] else None
    except (OSError, ValueError, TypeError):
        return None


def _check_header(header, size: int) -> None:
    """Raise an exception unless the header describes a file of `size` bytes."""
    check_shape(
        header, {"arrays": {str: [str, [int], int]}, "facts": object, "made_of": object, "bytes": int, "digest": str}
    )
    if header["bytes"] != size:
        raise ValueError("it is incomplete")
    for kind, shape, offset in header["arrays"].values():
        end = offset + math.prod(shape) * np.dtype(kind).itemsize
        if min([offset, *shape]) < 0 or end > size or np.dtype(kind).hasobject:
            raise ValueError("an array extends beyond the file")


@functools.cache
def _digest_of_values(path: Path, identity: tuple[int, ...], first: int) -> str:
    """Return a digest of a file after its `first` bytes, computed once per process for the same `identity`.

    The digest covers the sum of each page. Any damage changes the sums, and they are as fast as reading the memory.
    """
    memory = _map(path, identity[-1])
    words = memory[first:].view(np.uint64).reshape(-1, _PAGE_BYTES // 8)
    sums = np.add.reduce(words, axis=1)
    _release_pages(memory.ctypes.data, memory.nbytes, mmap.MADV_DONTNEED)
    return hashlib.sha256(sums.tobytes()).hexdigest()


def _map(path: Path, size: int) -> np.ndarray:
    """Return the bytes of a file as a read-only memory map."""
    memory = torch.from_file(str(path), size=size, dtype=torch.uint8).numpy()
    memory.flags.writeable = False
    return memory


def _checksum(text: bytes) -> bytes:
    return f"{zlib.crc32(text.rstrip()):08x}".encode()


def _write(path: Path, made_of, arrays: dict[str, np.ndarray], facts) -> None:
    layout, end = {}, 0
    for name, values in arrays.items():
        layout[name] = [values.dtype.str, list(values.shape), end]
        end += _whole_pages(values.nbytes)
    header = {"arrays": layout, "facts": facts, "made_of": made_of, "bytes": end, "digest": _digest_of(arrays)}
    first = _whole_pages(len(json.dumps(header)) + 100)  # offsets get longer when the header's size is added
    for entry in layout.values():
        entry[2] += first
    header["bytes"] += first
    text = json.dumps(header).encode()

    def verify(temporary: Path) -> None:
        os.utime(temporary, (_MODIFICATION_TIME, _MODIFICATION_TIME))
        if _read_header(temporary, made_of) is None:
            raise OSError(errno.EIO, "the written file has different content")

    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent)
    with replacing(path, verify) as temporary, temporary.open("wb") as file:
        file.write(_checksum(text) + b" " + text.ljust(first - 10) + b"\n")
        for name, values in arrays.items():
            file.seek(layout[name][2])
            file.write(np.ascontiguousarray(values).data)
        file.truncate(header["bytes"])


def _digest_of(arrays: dict[str, np.ndarray]) -> str:
    """Return the digest that `_digest_of_values` computes from a file of these arrays."""
    digest = hashlib.sha256()
    for values in arrays.values():
        content = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        whole = content.size - content.size % _PAGE_BYTES
        pages = content[:whole].view(np.uint64).reshape(-1, _PAGE_BYTES // 8)
        digest.update(np.add.reduce(pages, axis=1).tobytes())
        if whole < content.size:
            last = np.zeros(_PAGE_BYTES, np.uint8)
            last[: content.size - whole] = content[whole:]
            digest.update(np.add.reduce(last.view(np.uint64)).tobytes())
    return digest.hexdigest()


def _whole_pages(size: int) -> int:
    return -(-size // _PAGE_BYTES) * _PAGE_BYTES
