"""Damage to the bytes of files, as by faulty disks, transfers or manual edits."""

from collections.abc import Callable

import numpy as np

Damaged = tuple[bytes, str]  # content, and description of the damage


def flip(content: bytes, rng: np.random.Generator, first: int = 0, end: int | None = None, count: int = 1) -> Damaged:
    """Flip `count` bits between two positions."""
    damaged = bytearray(content)
    places = rng.integers(first, min(end or len(content), len(content)), count)
    bits = rng.integers(0, 8, count)
    for place, bit in zip(places, bits):
        damaged[place] ^= 1 << bit
    flipped = ", ".join(f"{place}.{bit}" for place, bit in zip(places[:4], bits[:4]))
    return bytes(damaged), f"{count} bits flipped ({flipped}{', ...' if count > 4 else ''})"


def flip_many(content: bytes, rng: np.random.Generator) -> Damaged:
    return flip(content, rng, count=int(rng.integers(2, 200)))


def cut(content: bytes, rng: np.random.Generator) -> Damaged:
    end = int(rng.integers(0, len(content)))
    return content[:end], f"cut to {end} of {len(content)} bytes"


def cut_end(content: bytes, rng: np.random.Generator) -> Damaged:
    count = int(rng.integers(1, min(64, len(content))))
    return content[:-count], f"the last {count} bytes cut off"


def zero_block(content: bytes, rng: np.random.Generator) -> Damaged:
    first = int(rng.integers(0, len(content)))
    end = min(len(content), first + int(rng.integers(1, max(2, len(content) // 4))))
    return content[:first] + bytes(end - first) + content[end:], f"bytes {first} to {end} zeroed"


def insert(content: bytes, rng: np.random.Generator) -> Damaged:
    place, count = int(rng.integers(0, len(content) + 1)), int(rng.integers(1, 64))
    return content[:place] + rng.bytes(count) + content[place:], f"{count} bytes inserted at {place}"


def append(content: bytes, rng: np.random.Generator) -> Damaged:
    count = int(rng.integers(1, 5000))
    return content + rng.bytes(count), f"{count} bytes appended"


def twice(content: bytes, rng: np.random.Generator) -> Damaged:
    return content + content, "the file appended to itself"


def empty(content: bytes, rng: np.random.Generator) -> Damaged:
    return b"", "emptied"


def all_zero(content: bytes, rng: np.random.Generator) -> Damaged:
    return bytes(len(content)), "all zeros"


ALL: tuple[Callable[[bytes, np.random.Generator], Damaged], ...] = (
    flip, flip, flip, flip_many, cut, cut_end, zero_block, insert, append, twice, empty, all_zero,
)  # fmt: skip


def damage(content: bytes, rng: np.random.Generator) -> Damaged:
    """Apply a random kind of damage."""
    return ALL[rng.integers(len(ALL))](content, rng)
