"""Checks that an image file is intact: it has as many voxels as its header declares, valid checksums, finite values.

SimpleITK reads truncated NIfTI files and NaN without an error and replaces them by zeros, and it does not always refuse
a MetaImage or NRRD file whose compressed data are damaged. Therefore, the bytes are first read here, in parts and never
more than the header declares.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from base.errors import InputError
from data.images.image_headers import Header

_BYTES_AT_ONCE = 2**22
_TRAILING_BYTES = 2**20  # allowed after the voxels, for example as padding
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32


def check_intact(path: Path, header: Header) -> int:
    """Read all voxels of the image at `path` and check them, without keeping them in memory.

    Returns:
        the CRC-32 of the stored voxels, uncompressed.

    Raises:
        InputError: the file is shorter or longer than its header declares, its compressed data are damaged, or it
            contains NaN or infinity.
    """
    try:
        missing, beyond, crc32 = header.bytes, 0, 0
        for content in _content_of(header):
            part = content[:missing]
            crc32 = zlib.crc32(part, crc32)
            missing, beyond = missing - len(part), beyond + len(content) - len(part)
            if beyond > _TRAILING_BYTES:
                raise ValueError("it contains more data than its header declares")
            if header.dtype is not None and header.dtype.kind in "fc" and not _are_finite(part, header.dtype):
                raise InputError(
                    path, "holds values that are not finite (NaN or infinity)", "repair or remove the file"
                )
        if missing:
            raise EOFError(f"{missing} bytes are missing")
    except PermissionError as error:
        raise InputError(path, "cannot be read (no permission)", "check its permissions") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(path, f"is damaged ({reason})", "replace the file by an intact copy") from None
    return crc32


def _are_finite(part: bytes, dtype: np.dtype) -> bool:
    whole = len(part) - len(part) % dtype.itemsize
    return bool(np.isfinite(np.frombuffer(part[:whole], dtype)).all())


def _content_of(header: Header) -> Iterator[bytes]:
    """Yield the uncompressed voxels, and any bytes after them, in parts; checksums are verified at the end."""
    if header.packing == "zlib":
        yield from _unpacked(header)
        return
    with gzip.open(header.file) if header.packing == "gzip" else header.file.open("rb") as file:
        left = header.offset
        while left:  # read rather than seek, to notice a file that ends before its voxels begin
            skipped = len(file.read(min(left, _BYTES_AT_ONCE)))
            if not skipped:
                return
            left -= skipped
        while content := file.read(_BYTES_AT_ONCE):
            yield content


def _unpacked(header: Header) -> Iterator[bytes]:
    stream = zlib.decompressobj(_ZLIB_OR_GZIP)
    with header.file.open("rb") as file:
        file.seek(header.offset)
        left = header.file.stat().st_size if header.packed_bytes is None else header.packed_bytes
        while not stream.eof and (packed := file.read(min(left, _BYTES_AT_ONCE))):
            left -= len(packed)
            while packed and not stream.eof:
                yield stream.decompress(packed, _BYTES_AT_ONCE)
                packed = stream.unconsumed_tail
    if not stream.eof:
        raise EOFError("its compressed data end too early")
