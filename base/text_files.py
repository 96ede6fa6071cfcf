"""Text files as people's editors write them: UTF-8, with a byte-order mark or without, or UTF-16 as on Windows."""

import codecs
from pathlib import Path

from base.errors import InputError

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before that of UTF-16, with which it begins
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(path: Path) -> str:
    """Read a text file.

    Raises:
        InputError: its encoding is another.
    """
    try:
        return decode(path.read_bytes())
    except UnicodeDecodeError:
        raise InputError(path, "is no text in UTF-8 or UTF-16", "save it as UTF-8") from None


def decode(content: bytes) -> str:
    """The text in `content`; raises UnicodeDecodeError where it is in no encoding that is read."""
    marked = next((encoding for mark, encoding in _MARKS.items() if content.startswith(mark)), None)
    if marked:
        return content.decode(marked)
    if content[1:2] == b"\0":  # no text in UTF-8 holds a zero
        return content.decode("utf-16-le")
    return content.decode("utf-16-be" if content[:1] == b"\0" else "utf-8")
