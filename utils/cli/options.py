"""Options as fields of frozen dataclasses: one table of flags, types, choices, defaults and help texts.

A stage's options are one dataclass that inherits from groups of options. Each group is a dataclass with a `TITLE`, and
`option` and `flag` return its fields:

    @dataclass(frozen=True, kw_only=True)
    class SeedOptions:
        TITLE: ClassVar = "random numbers"
        seed: int = option("-x", "--seed", parse=parse_natural_number, default=0, help="seed of all random numbers")
"""

import argparse
import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, field, fields
from typing import Any, TypeVar

from utils.cli.value_types import parse_bool

_KEY = "option"
_PLAIN = (int, float, bool, type(None))
Options = TypeVar("Options")


def option(
    *flags: str,
    help: str,
    parse: Callable[[str], Any] = str,
    default: Any = None,
    required: bool = False,
    choices: Sequence[str] | None = None,
    nargs: int | str | None = None,
    metavar: str | tuple[str, ...] | None = None,
    recorded: bool = True,
) -> Any:
    """Return a dataclass field for an option.

    Args:
        flags: spellings on the command line.
        parse: reads the value from text.
        recorded: whether the value determines a result and is therefore stored with it.
    """
    settings = {"type": parse, "help": help, "choices": choices, "nargs": nargs, "metavar": metavar}
    settings = {name: value for name, value in settings.items() if value is not None}
    settings |= {"required": True} if required else {"default": default}
    kept = MISSING if required else tuple(default) if isinstance(default, list) else default
    return field(default=kept, metadata={_KEY: (flags, settings), "recorded": recorded})


def flag(*flags: str, help: str, recorded: bool = True) -> Any:
    """Return a dataclass field for a boolean option that stands alone or takes a value: ``--clip``, ``--clip no``."""
    settings = {"nargs": "?", "const": True, "default": False, "type": parse_bool, "metavar": "True|False"}
    return field(default=False, metadata={_KEY: (flags, {**settings, "help": help}), "recorded": recorded})


def add_options(parser: argparse.ArgumentParser, table: type) -> None:
    """Add the options of a dataclass to a parser, each group under its title."""
    known = {one.name: one for one in fields(table)}
    for base in table.__mro__:
        if "TITLE" not in vars(base):
            continue
        group = parser.add_argument_group(base.TITLE)
        for name in inspect.get_annotations(base):
            if name in known:
                flags, settings = known[name].metadata[_KEY]
                group.add_argument(*flags, dest=name, **settings)


def read_options(table: type[Options], args: argparse.Namespace) -> Options:
    """Return the options of a parsed command line as a record."""
    values = {one.name: getattr(args, one.name) for one in fields(table)}
    return table(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def recorded_options(options) -> dict:
    """Return the options that determine a result, as plain values, sorted by name."""
    names = sorted(one.name for one in fields(options) if one.metadata["recorded"])
    return {name: _plain(getattr(options, name)) for name in names}


def _plain(value):
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, _PLAIN) else str(value)
