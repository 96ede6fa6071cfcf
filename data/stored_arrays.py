"""Arrays in files that can be made again: written whole, mapped into memory, trusted only as they were written.

A file holds one line, a checksum (CRC-32) and JSON, filled up with spaces to whole pages, then each array from a page's
beginning:

    0a1b2c3d {"arrays": {"image": ["<i2", [120, 266, 266], 4096], ...}, "facts": ..., "made_of": ..., "bytes": ...}
    image    its values in C order, from byte 4096 on
"""

import ctypes
import errno
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
_WRITTEN = (
    1_000_000_000  # what a file says it was last written, s since 1970: one that was touched since says otherwise
)

_release_pages = ctypes.CDLL(None).madvise
_release_pages.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class StoredArrays:
    """The arrays of the file at `path`, of so many `bytes`, by name in `arrays`, and the plain values in `facts`.

    The file is mapped, not read: a part of an array is fetched when it is looked at, and no open file is kept, however
    many files are mapped; one that is removed meanwhile stays readable.
    """

    def __init__(self, path: Path, header: dict):
        self.path = path
        self.facts, self.bytes = header["facts"], header["bytes"]
        self._memory = torch.from_file(str(path), size=header["bytes"], dtype=torch.uint8).numpy()
        self._memory.flags.writeable = False
        self._extent = (self._memory.ctypes.data, header["bytes"], mmap.MADV_DONTNEED)
        self.arrays = {}
        for name, (kind, shape, offset) in header["arrays"].items():
            values = self._memory[offset : offset + math.prod(shape) * np.dtype(kind).itemsize]
            self.arrays[name] = values.view(kind).reshape(shape)

    def release(self) -> None:
        """Let go of the memory that holds what was looked at; it is fetched again when it is looked at again."""
        _release_pages(*self._extent)


def stored(path: Path, made_of, make: Callable[[], tuple[dict[str, np.ndarray], object]]) -> StoredArrays:
    """The arrays and facts in the file at `path`; made and written first, unless it holds those of `made_of`.

    Several processes may do so at once: each writes the same, and the last one's file stays.

    Args:
        made_of: plain values that tell what the arrays were made of.
        make: gives the arrays by name, and plain values.

    Raises:
        OSError: the file cannot be written.
    """
    header = _read_header(path, made_of)
    if header is None:
        _write(path, made_of, *make())
        header = _read_header(path, made_of)
    if header is None:
        raise InputError(path, "does not stay as it is written", "let nothing else write there")
    return StoredArrays(path, header)


def _read_header(path: Path, made_of) -> dict | None:
    """What the file says of itself; None if it is not there, not whole, not as it was written, or of something else."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or (int(status.st_mtime), status.st_uid) != (_WRITTEN, os.getuid()):
                return None
            line = file.readline(_LONGEST_HEADER)
        checksum, _, text = line.partition(b" ")
        if checksum != _checksum(text):
            return None
        header = parse_json(text)
        _check_header(header, status.st_size)
    except (OSError, ValueError, TypeError):
        return None
    return header if header["made_of"] == json.loads(json.dumps(made_of)) else None


def _check_header(header, size: int) -> None:
    """Raise an exception where a header does not describe a file of `size` bytes."""
    check_shape(header, {"arrays": {str: [str, [int], int]}, "facts": object, "made_of": object, "bytes": int})
    if header["bytes"] != size:
        raise ValueError("it is not whole")
    for kind, shape, offset in header["arrays"].values():
        end = offset + math.prod(shape) * np.dtype(kind).itemsize
        if min([offset, *shape]) < 0 or end > size or np.dtype(kind).hasobject:
            raise ValueError("an array lies outside")


def _checksum(text: bytes) -> bytes:
    return f"{zlib.crc32(text.rstrip()):08x}".encode()


def _write(path: Path, made_of, arrays: dict[str, np.ndarray], facts) -> None:
    places, end = {}, 0
    for name, values in arrays.items():
        places[name] = [values.dtype.str, list(values.shape), end]
        end += _whole_pages(values.nbytes)
    header = {"arrays": places, "facts": facts, "made_of": made_of, "bytes": end}
    first = _whole_pages(len(json.dumps(header)) + 100)  # numbers grow by the header's own size
    for place in places.values():
        place[2] += first
    header["bytes"] += first
    text = json.dumps(header).encode()

    def verify(temporary: Path) -> None:
        with temporary.open("rb") as file:
            for name, values in arrays.items():
                file.seek(places[name][2])
                if file.read(values.nbytes) != np.ascontiguousarray(values).tobytes():
                    raise OSError(errno.EIO, "what was written reads differently")
        os.utime(temporary, (_WRITTEN, _WRITTEN))

    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent)
    with replacing(path, verify) as temporary, temporary.open("wb") as file:
        file.write(_checksum(text) + b" " + text.ljust(first - 10) + b"\n")
        for name, values in arrays.items():
            file.seek(places[name][2])
            file.write(np.ascontiguousarray(values).data)
        file.truncate(header["bytes"])


def _whole_pages(size: int) -> int:
    return -(-size // _PAGE_BYTES) * _PAGE_BYTES
