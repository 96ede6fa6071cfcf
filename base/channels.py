"""Names of the channels of a scan: images of the same patient and place, such as MR sequences."""

import re

UNNAMED = ""  # the only channel of a scan that is one image

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*(?:_[A-Za-z0-9.+-]+)*")
_LONGEST = 40
_RESERVED = ("rs",)  # ending of the files that stage 1 writes
_FORBIDDEN = re.compile(r"[^A-Za-z0-9.+-]+")


def check_channel(text: str) -> str:
    """Return `text` if it can be a part of a file name (`imaging_T1.nii.gz`); raise ValueError otherwise."""
    if not isinstance(text, str) or not _NAME.fullmatch(text) or len(text) > _LONGEST:
        raise ValueError(f"{text!r} is no name of a channel: use letters, digits and . + - _")
    if text.lower().split("_")[-1] in _RESERVED:
        raise ValueError(f"{text!r} ends like a file of stage 1: choose another name of the channel")
    return text


def as_channel(text: str) -> str:
    """Return the name that a data set gives to a channel, without what a file name cannot hold.

    Raises:
        ValueError: nothing is left of it.
    """
    return check_channel(_FORBIDDEN.sub("-", text.strip()).strip("-"))


def channels_of(text: str) -> tuple[str, ...]:
    """Read ``T1,T2``: names of channels, in order.

    Raises:
        ValueError: a name is no name, or is there twice.
    """
    names = tuple(check_channel(word) for word in text.split(","))
    if len(set(names)) < len(names):
        raise ValueError(f"{text!r} names a channel twice")
    return names
