"""Channels of the cases of a data set: which are taken, and which cases lack one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from base.channels import as_channel
from base.errors import InputError
from data.layouts.source_case import ImageFile, SourceCase


def named_channels(names: Mapping[str, str] | Sequence[str], description: Path) -> list[str]:
    """Return the names that a data set gives to its channels, in the order of their numbers, as parts of file names.

    Args:
        names: by number, as in `{"0": "T1", "1": "T2"}`, or in order.

    Raises:
        InputError: the numbers are not 0, 1, ..., or a name cannot be used or is there twice.
    """
    if isinstance(names, Mapping):
        numbers = [str(number) for number in range(len(names))]
        if set(names) != set(numbers):
            problem = f"numbers its channels {', '.join(map(str, names))}"
            raise InputError(description, problem, "number them 0, 1, 2 and so on")
        names = [names[number] for number in numbers]
    try:
        channels = [as_channel(str(name)) for name in names]
    except ValueError as error:
        raise InputError(description, str(error), "rename the channel") from None
    if len(set(channels)) < len(channels):
        raise InputError(description, f"names a channel twice: {', '.join(channels)}", "give each its own name")
    return channels


def components_of(image: Path, channels: Sequence[str]) -> dict[str, ImageFile]:
    """Return the channels of a file that holds all of them."""
    return {name: ImageFile(image, number, len(channels)) for number, name in enumerate(channels)}


def settle_channels(
    cases: Sequence[SourceCase], wanted: Sequence[str], folder: Path, least_share: float = 0
) -> list[SourceCase]:
    """Return the `cases` with the channels that are taken; a case that lacks one gets a problem.

    Taken are the `wanted` channels or, without them, all that any case has. In cases whose channels have no name,
    `wanted` names those of a file that holds several.

    Args:
        least_share: share of the cases that must have a channel that is not `wanted` by name.

    Raises:
        InputError: `wanted` names a channel that no case has.
    """
    named = [case for case in cases if case.channels]
    if not named:
        return [_split_up(case, wanted) for case in cases] if wanted else list(cases)
    times = Counter(name for case in named for name in case.channels)
    orders = Counter(tuple(case.channels) for case in named).most_common()  # the first channel has the case's grid
    known = list(dict.fromkeys(name for order, _ in orders for name in order))
    if unknown := [name for name in wanted if name not in known]:
        raise InputError("--channels", f"{unknown[0]} is no channel of {folder}", f"it has {', '.join(known)}")
    taken = wanted or [name for name in known if times[name] >= least_share * len(cases)]
    return [_with_channels(case, taken) for case in cases]


def _split_up(case: SourceCase, names: Sequence[str]) -> SourceCase:
    return case if case.problem else replace(case, channels=components_of(case.image, names))


def _with_channels(case: SourceCase, taken: Sequence[str]) -> SourceCase:
    if case.problem or not (taken or case.channels):
        return case
    missing = [name for name in taken if name not in case.channels]
    if missing or not taken:
        known = f"it has {', '.join(case.channels)}" if case.channels else "its scan has no name"
        problem = f"has no channel {missing[0]}; {known}" if missing else "shares no channel with most cases"
        remedy = "add it, or name those to take with --channels"
        return replace(case, problem=f"{problem}; {remedy}")
    channels = {name: case.channels[name] for name in taken}
    return replace(case, channels=channels, image=channels[taken[0]].path)
