"""Types of option values, from text. Nothing heavy is imported here."""

import argparse
import glob
import os
from collections.abc import Sequence
from pathlib import Path

from base.channels import channels_of
from base.errors import InputError
from base.names import check_run_name

_MOST_DIGITS = 18  # of a number of 63 bits
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


def parse_bool(text: str) -> bool:
    """Read True, False, true, false, 1, 0, yes or no."""
    if text.lower() in _TRUE + _FALSE:
        return text.lower() in _TRUE
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false; write True, False, yes, no, 1 or 0")


def parse_positive_int(text: str) -> int:
    """Read a positive whole number."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")


def parse_natural_number(text: str) -> int:
    """Read a non-negative whole number, such as a seed, of 63 bits."""
    if text.isdecimal() and len(text.lstrip("0")) <= _MOST_DIGITS:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up, or too large")


def parse_components(text: str) -> int | str:
    """Read a number of components, or auto."""
    if text == "auto":
        return text
    if text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is neither a whole number from 0 up nor auto")


def parse_ignore_label(text: str) -> int:
    """Read a label from 1 to 255."""
    if text.isdecimal() and 0 < int(text) < 256:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a label from 1 to 255; 0 is the background")


def parse_folder_name(text: str) -> str:
    """Read the name of one folder in SAVE, not a path."""
    try:
        return check_run_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_positive_number(text: str) -> float:
    """Read a finite positive number."""
    number = parse_non_negative_number(text)
    if number > 0:
        return number
    raise argparse.ArgumentTypeError(f"{text!r} is not above 0")


def parse_non_negative_number(text: str) -> float:
    """Read a finite non-negative number."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if 0 <= number < float("inf"):
        return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")


def parse_share(text: str) -> float:
    """Read a share from 0 to 1."""
    number = parse_non_negative_number(text)
    if number <= 1:
        return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")


def parse_overlap(text: str) -> float:
    """Read a share from 0 to less than 1."""
    number = parse_non_negative_number(text)
    if number < 1:
        return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to less than 1")


def parse_fold(text: str) -> tuple[int, int]:
    """Read ``2/5``: the second of five folds."""
    fold, slash, count = text.partition("/")
    if slash and fold.isdecimal() and count.isdecimal() and 1 <= int(fold) <= int(count) and int(count) >= 2:
        return int(fold), int(count)
    raise argparse.ArgumentTypeError(f"{text!r} is not a fold such as 2/5")


def parse_ratios(text: str) -> tuple[float, ...]:
    """Read ``0,5,5``: one probability for each class, in any unit."""
    try:
        ratios = tuple(parse_non_negative_number(word) for word in text.split(","))
    except argparse.ArgumentTypeError:
        ratios = ()
    if sum(ratios) > 0:
        return ratios
    raise argparse.ArgumentTypeError(f"{text!r} are not chances of classes; write them like 0,5,5")


def parse_channels(text: str) -> tuple[str, ...]:
    """Read ``T1,T2``: names of channels, in order."""
    try:
        return channels_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_normalization(text: str) -> str:
    """Read ``auto``, ``ct``, ``zscore`` or ``none``, or several of them such as ``ct,zscore``: one for each channel."""
    if all(kind in ("auto", "ct", "zscore", "none") for kind in text.split(",")):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is unknown; choose auto, ct, zscore or none, for all channels or each")


def parse_criterion(text: str) -> str:
    """Read a patch inclusion criterion, written with hyphens or underscores."""
    criterion = text.replace("_", "-").lower()
    if criterion in ("entire-sample-area", "patch-center-voxel"):
        return criterion
    raise argparse.ArgumentTypeError(f"{text!r} is unknown; choose entire-sample-area or patch-center-voxel")


def one_file(option: str, patterns: list[str]) -> Path:
    """Return the one file that `patterns` name; each is a path, or a glob that the shell did not expand.

    Raises:
        InputError: they match no file, or several (all are listed).
    """
    matches = sorted({match for text in patterns for match in _matches(text)})
    if not matches:
        raise InputError(option, f"no file matches {' '.join(patterns)}", "check the path")
    if len(matches) > 1:
        raise InputError(option, f"{len(matches)} files match: {', '.join(matches)}", "name one of them")
    return Path(matches[0])


def several_files(option: str, patterns: Sequence[str]) -> list[Path]:
    """Return the files that `patterns` name, each once, in their order; those of a glob sorted.

    Raises:
        InputError: a pattern matches no file.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        matches = sorted(_matches(pattern))
        if not matches:
            raise InputError(option, f"no file matches {pattern}", "check the path")
        found |= dict.fromkeys(matches)
    return [Path(name) for name in found]


def _matches(pattern: str) -> list[str]:
    """Return the matches of a pattern; an existing name such as ``[1]`` is taken literally."""
    if Path(pattern).exists():
        return [pattern]
    found = [""]
    for part in Path(pattern).parts:
        found = [match for place in found for match in _matches_in(place, part)]
    return found


def _matches_in(place: str, part: str) -> list[str]:
    path = os.path.join(place, part)  # noqa: PTH118 - keeps "./" and an empty path unchanged
    return [path] if os.path.lexists(path) else glob.glob(os.path.join(glob.escape(place), part))  # noqa: PTH118
