"""Text files in the encodings that editors write: UTF-8 with or without a byte-order mark, UTF-16, or UTF-32."""

import codecs
from pathlib import Path

from base.errors import InputError

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is a prefix of this one
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(path: Path) -> str:
    """Read a text file.

    Raises:
        InputError: the file has another encoding.
    """
    try:
        return decode(path.read_bytes())
    except UnicodeDecodeError:
        raise InputError(path, "is not text in UTF-8 or UTF-16", "save it as UTF-8") from None


def decode(content: bytes) -> str:
    """Return the text in `content`; raise UnicodeDecodeError if its encoding is not supported."""
    marked = next((encoding for mark, encoding in _MARKS.items() if content.startswith(mark)), None)
    if marked:
        return content.decode(marked)
    if content[1:2] == b"\0":  # text in UTF-8 contains no zero bytes
        return content.decode("utf-16-le")
    return content.decode("utf-16-be" if content[:1] == b"\0" else "utf-8")
