"""Kinds of trials, and the outcome of a trial."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.campaign.world import World


@dataclass(frozen=True)
class Outcome:
    """Outcome of a trial: description of the damage, problems that it caused, and `count` of damaged files."""

    damage: str
    problems: list[str] = field(default_factory=list)
    count: int = 1


@dataclass(frozen=True)
class Kind:
    """A kind of trials: full number of trials, scenarios whose clean runs it needs, and function of one trial.

    Attributes:
        perform: called with the world, the number of the trial, its random generator and its own empty folder.
    """

    name: str
    trials: int
    scenarios: tuple[str, ...]
    perform: Callable[[World, int, np.random.Generator, Path], Outcome]


def generator(seed: int, kind: str, number: int) -> np.random.Generator:
    """Return the random generator of one trial."""
    return np.random.default_rng((seed, zlib.crc32(kind.encode()), number))
