"""Reading and writing of protobuf's wire format, as far as files of ONNX need it: standard library only.

A message is a sequence of fields; each is a key (number << 3 | type) and a value: a variable-length integer (type 0),
8 or 4 bytes (types 1 and 5), or a length and so many bytes (type 2), which are text, a message, or packed numbers.
See https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10  # bytes

Value = int | memoryview


def fields_of(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each field: an integer, or the bytes of all other types.

    Raises:
        ValueError: the message is truncated or malformed.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == _LENGTH:
            size, at = _varint(message, at)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError("it is not in protobuf's format")
        if number == 0 or at + size > len(message):
            raise ValueError("it is truncated")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the variable-length integer at a position, and the position after it."""
    value = 0
    for count in range(_LONGEST_VARINT):
        if at + count >= len(message):
            raise ValueError("it is truncated")
        byte = message[at + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, at + count + 1
    raise ValueError("it is not in protobuf's format")


def numbers_of(value: Value) -> list[int]:
    """Return the integers of a repeated field: one, or several that are packed."""
    if isinstance(value, int):
        return [value]
    numbers, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        numbers.append(number)
    return numbers


def text_of(value: Value) -> str:
    """Return the text of a field; raise ValueError if it is none."""
    if isinstance(value, int):
        raise ValueError("a number is where text belongs")
    return bytes(value).decode("utf-8")


def field(number: int, content: bytes) -> bytes:
    """Return the field of a text or message."""
    return _to_varint(number << 3 | _LENGTH) + _to_varint(len(content)) + content


def _to_varint(value: int) -> bytes:
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
