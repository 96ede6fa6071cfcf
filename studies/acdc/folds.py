"""Splits of the 100 patients into five folds: the published split, and four drawn ones.

Each patient is tested once. The published split is the first fold; the other four share the 80 patients that it does
not test, balanced over the five groups of the data set (healthy, and four diseases).
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SEED = 20221114
_FOLDS, _VALIDATED = 5, 10


@dataclass(frozen=True)
class Fold:
    """Names of the patients of a fold; those of `annotated` are the train patients whose references are used."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    annotated: tuple[str, ...]


def published_fold(protocol: Mapping[str, Sequence[str]], annotated: int) -> Fold:
    """Return the published split with the references of its first `annotated` train patients."""
    train, val, test = (tuple(protocol[split]) for split in ("train", "val", "test"))
    return Fold(train, val, test, train[:annotated])


def folds_of(protocol: Mapping[str, Sequence[str]], groups: Mapping[str, str], annotated: int) -> list[Fold]:
    """Return the five folds, each with the references of `annotated` train patients.

    Args:
        protocol: patients under ``train``, ``val`` and ``test``.
        groups: group of each patient, by name.
    """
    first = published_fold(protocol, annotated)
    rest = _dealt(sorted({*first.train, *first.val}), groups, random.Random(_SEED))
    size = len(rest) // (_FOLDS - 1)
    tests = [tuple(rest[number * size : (number + 1) * size]) for number in range(_FOLDS - 1)]
    return [first, *(_drawn(test, groups, annotated, number) for number, test in enumerate(tests, start=2))]


def _drawn(test: tuple[str, ...], groups: Mapping[str, str], annotated: int, number: int) -> Fold:
    """Return the fold that tests the patients `test`; the others are balanced over the groups."""
    others = _dealt(sorted(groups.keys() - set(test)), groups, random.Random(_SEED + number))
    val, train = others[:_VALIDATED], others[_VALIDATED:]
    return Fold(tuple(train), tuple(val), test, tuple(train[:annotated]))


def _dealt(patients: Sequence[str], groups: Mapping[str, str], rng: random.Random) -> list[str]:
    """Return the patients in a random order in which every run of neighbours is balanced over the groups."""
    stacks = {}
    for patient in patients:
        stacks.setdefault(groups[patient], []).append(patient)
    for stack in stacks.values():
        rng.shuffle(stack)
    # The k-th of n patients of a group lies at (k + 1/2) / n of the order.
    placed = [
        ((place + 0.5) / len(stack), rng.random(), patient)
        for stack in stacks.values()
        for place, patient in enumerate(stack)
    ]
    return [patient for _, _, patient in sorted(placed)]
