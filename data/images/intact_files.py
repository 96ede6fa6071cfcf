"""Image files that are whole: as many voxels as the header promises, checksums that agree, values that are finite.

SimpleITK reads a NIfTI file that is cut short or holds NaN without a word, with zeros in their place, and does not
always refuse a MetaImage or NRRD file of which the compression is damaged. So the bytes themselves are read here first,
a part at a time, and never more of them than were promised.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from base.errors import InputError
from data.images.image_headers import Header

_BYTES_AT_ONCE = 2**22
_BYTES_BEHIND = 2**20  # that may follow the voxels, such as padding
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32


def check_intact(path: Path, header: Header) -> int:
    """Read the voxels of the image at `path` to their end, without keeping them.

    Returns:
        CRC-32 of the voxels as they are stored, unpacked.

    Raises:
        InputError: the file is cut short or longer than its header promises, its compression is damaged, or it holds
            NaN or infinity.
    """
    try:
        missing, beyond, crc32 = header.bytes, 0, 0
        for content in _content_of(header):
            part = content[:missing]
            crc32 = zlib.crc32(part, crc32)
            missing, beyond = missing - len(part), beyond + len(content) - len(part)
            if beyond > _BYTES_BEHIND:
                raise ValueError("it holds more than its header promises")
            if header.dtype is not None and header.dtype.kind in "fc" and not _are_finite(part, header.dtype):
                raise InputError(
                    path, "holds values that are not finite (NaN or infinity)", "repair or remove the file"
                )
        if missing:
            raise EOFError(f"{missing} bytes are missing")
    except PermissionError as error:
        raise InputError(path, "cannot be read (no permission)", "check its rights") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(path, f"is damaged ({reason})", "replace the file by an intact copy") from None
    return crc32


def _are_finite(part: bytes, dtype: np.dtype) -> bool:
    whole = len(part) - len(part) % dtype.itemsize
    return bool(np.isfinite(np.frombuffer(part[:whole], dtype)).all())


def _content_of(header: Header) -> Iterator[bytes]:
    """The voxels, unpacked, and what follows them, part by part; checksums are checked when the end is reached."""
    if header.packing == "zlib":
        yield from _unpacked(header)
        return
    with gzip.open(header.file) if header.packing == "gzip" else header.file.open("rb") as file:
        left = header.offset
        while left:  # no seek: a file that ends before its voxels begin is cut short
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
        raise EOFError("its compression ends too early")
