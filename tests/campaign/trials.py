"""Trials: what each kind is asked for, and what it answers."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.campaign.world import World


@dataclass(frozen=True)
class Outcome:
    """What became of a trial: the damage, in words, and what was wrong afterwards; `count` damages were done."""

    damage: str
    problems: list[str] = field(default_factory=list)
    count: int = 1


@dataclass(frozen=True)
class Kind:
    """A kind of trials: its full number, the clean runs that it needs, and one trial.

    Attributes:
        perform: called with the world, the trial's number, its generator and its own empty folder.
    """

    name: str
    trials: int
    scenarios: tuple[str, ...]
    perform: Callable[[World, int, np.random.Generator, Path], Outcome]


def generator(seed: int, kind: str, number: int) -> np.random.Generator:
    """Return the generator of one trial."""
    return np.random.default_rng((seed, zlib.crc32(kind.encode()), number))
