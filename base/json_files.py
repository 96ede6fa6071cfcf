"""JSON files: atomic writing, and reading with validation against an expected shape.

A shape is one of

    int, float, str, bool, None, object     a value of that type; float accepts integers, object accepts anything
    (shape, shape)                          a value of one of these shapes
    [shape]                                 a list (or tuple) of any length with items of this shape
    [shape, shape, shape]                   a list (or tuple) of exactly these shapes
    {str: shape}                            an object with any keys and values of this shape
    {"key": shape, "other?": shape}         an object with `key`, optionally `other`, and possibly further keys
    a function                              a value for which the function does not raise ValueError
"""

import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from base.atomic_file import write_text
from base.errors import InputError
from base.names import is_text

_LARGEST_BYTES = 2**28
_LARGEST = {int: 2**63, float: sys.float_info.max}
_SHOWN = 40  # characters of an unexpected value that an error message quotes


def write_json(path: Path | str, value) -> None:
    """Write `value` as indented JSON, atomically."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    if not is_text(text):  # for example the target of a symbolic link
        text = json.dumps(value, indent=1)
    write_text(path, text + "\n")


def read_json(path: Path, shape, remedy: str, problem: str = "is damaged"):
    """Read the JSON file at `path` and check that its value has the expected shape.

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: the file is not valid JSON or has another shape; the message contains `problem` and `remedy`.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_BYTES:
        raise InputError(path, f"{problem} (it is not a regular file, or too large for JSON)", remedy)
    try:
        value = parse_json(path.read_bytes())
        check_shape(value, shape)
    except ValueError as error:
        raise InputError(path, f"{problem} ({' '.join(str(error).split())})", remedy) from None
    return value


def parse_json(content: bytes | str):
    """Parse JSON; raise ValueError if it is invalid, contains NaN or infinity, or is nested too deeply."""
    try:
        return json.loads(content, parse_constant=_refuse_constant, parse_float=_parse_float)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse_constant(name: str):
    raise ValueError(f"{name} is not valid JSON")


def _parse_float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:_SHOWN]} is too large a number")
    return number


def check_shape(value, shape, place: str = "") -> None:
    """Raise ValueError unless `value` has the shape; `place` is its position, for the error message."""
    if shape is object:
        return
    if shape is None or isinstance(shape, type):
        _check_type(value, shape, place)
    elif isinstance(shape, tuple):
        _check_alternatives(value, shape, place)
    elif isinstance(shape, list):
        _check_type(value, list, place)
        if len(shape) > 1 and len(value) != len(shape):
            raise ValueError(f"{place or 'it'}: expected {len(shape)} values, found {len(value)}")
        for number, item in enumerate(value):
            check_shape(item, shape[number if len(shape) > 1 else 0], f"{place}[{number}]")
    elif isinstance(shape, dict):
        _check_object(value, shape, place)
    else:
        _check_by(shape, value, place)


def _check_type(value, kind: type | None, place: str) -> None:
    kinds = {None: (type(None),), float: (float, int), list: (list, tuple)}.get(kind, (kind,))
    fits = isinstance(value, kinds) and (kind is bool or not isinstance(value, bool))
    if not fits or (kind in (int, float) and not abs(value) <= _LARGEST[kind]):  # NaN fails this comparison
        raise ValueError(f"{place or 'it'}: expected {_name(kind)}, found {_shown(value)}")


def _check_alternatives(value, shapes: tuple, place: str) -> None:
    problems = []
    for shape in shapes:
        try:
            return check_shape(value, shape, place)
        except ValueError as error:
            problems.append(str(error))
    raise ValueError(problems[-1])


def _check_object(value, shape: dict, place: str) -> None:
    _check_type(value, dict, place)
    for key, expected in shape.items():
        if key is str:
            for name, item in value.items():
                check_shape(item, expected, f"{place}.{name}".lstrip("."))
            continue
        name = key.removesuffix("?")
        if name in value:
            check_shape(value[name], expected, f"{place}.{name}".lstrip("."))
        elif name == key:
            raise ValueError(f"{place or 'it'}: {name} is missing")


def _check_by(check: Callable, value, place: str) -> None:
    try:
        check(value)
    except ValueError as error:
        raise ValueError(f"{place or 'it'}: {error}") from None


def _name(kind: type | None) -> str:
    names = {None: "null", int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return {**names, list: "a list", dict: "an object"}.get(kind, getattr(kind, "__name__", str(kind)))


def _shown(value) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=lambda other: type(other).__name__)
    except (RecursionError, TypeError, ValueError):
        text = type(value).__name__
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
