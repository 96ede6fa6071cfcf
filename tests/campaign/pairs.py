"""Trials with two parallel commands on one folder: one is refused with the other's process id, or both succeed."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.campaign.checks import error_lines, problems_of
from tests.campaign.comparing import differences
from tests.campaign.folders import left_in_temporary, stray_files
from tests.campaign.running import Limits, Run, Started
from tests.campaign.scenarios import SCENARIOS, Scenario
from tests.campaign.trials import Kind, Outcome
from tests.campaign.world import World

_TRIALS = 60
_LIMITS = Limits(seconds=180)
_LONGEST_DELAY_SECONDS = 0.4


@dataclass(frozen=True)
class _Pair:
    """Two commands, each a scenario with more options; `shared` if both may run at the same time."""

    name: str
    scenarios: tuple[str, str]
    more: tuple[tuple[str, ...], tuple[str, ...]]
    shared: bool = False


_LONG = ("-i", "200")
_OTHER_SPLIT = ("--split", "50", "25", "25", "--seed", "2")
_PAIRS = (
    _Pair("two trainings of one name", ("training", "training"), (_LONG, (*_LONG, "--learning-rate", "0.001"))),
    _Pair("two stages 1 with other splits", ("resample_split", "resample_split"), ((), _OTHER_SPLIT)),
    _Pair("two testing runs of one name", ("testing", "testing"), ((), ("--keep-largest", "1"))),
    _Pair("two ensembles to one folder", ("ensemble", "ensemble"), ((), ("-r", "other", "--temperature", "2"))),
    _Pair("training and stage 1", ("training", "resample_again"), (_LONG, ("--voxel-size", "4", "4", "5"))),
    _Pair(
        "two trainings with one cache",
        ("training", "training"),
        (_LONG, (*_LONG, "-r", "other", "-x", "5")),
        shared=True,
    ),
)


def _perform(world: World, number: int, rng: np.random.Generator, folder: Path) -> Outcome:
    pair = _PAIRS[number % len(_PAIRS)]
    scenarios = [SCENARIOS[name] for name in pair.scenarios]
    work, temporary = folder / "work", folder / "tmp"
    commands = [[*one.command(work), *more] for one, more in zip(scenarios, pair.more)]
    alone = [_alone(world, pair, index, folder / f"alone{index}") for index in range(2)]
    for one in scenarios:
        world.prepare(one, work)
    delay = float(rng.uniform(0, _LONGEST_DELAY_SECONDS))
    order = [0, 1] if rng.random() < 0.5 else [1, 0]
    started: dict[int, Started] = {}
    for index in order:
        started[index] = world.start(commands[index], temporary, folder / "outputs")
        time.sleep(delay)
    runs = _wait_for_both(started)
    description = f"{pair.name}, the {'second' if order[0] else 'first'} {delay:.2f} s earlier"
    problems = [f"command {i + 1}: {word}" for i in (0, 1) for word in problems_of(runs[i])]
    done = [index for index in (0, 1) if runs[index].status == 0]
    if not done:
        problems.append("neither command succeeded")
    if pair.shared and len(done) < 2:
        problems.append("both should have succeeded")
    for index in {0, 1} - set(done):
        problems += [f"command {index + 1}: {word}" for word in _problems_of_refusal(runs[index], runs[1 - index])]
    if len(done) == 1 or pair.shared:
        for index in done:
            parts = _results(scenarios[index], pair.more[index])
            problems += [
                f"command {index + 1}: {word}" for word in differences(alone[index], work, parts, names=not pair.shared)
            ]
    elif len(done) == 2:
        agree = [not differences(alone[i], work, _results(scenarios[i], pair.more[i]), names=False) for i in (0, 1)]
        if not any(agree):
            problems.append("both succeeded, but the result is that of neither")
        elif not all(agree) and not _one_after_the_other(runs):
            problems.append("both succeeded, but only one result exists")
    problems += _problems_of_next(world, done, scenarios, commands, temporary, folder)
    return Outcome(description, problems + stray_files(work) + left_in_temporary(temporary))


def _alone(world: World, pair: _Pair, index: int, folder: Path) -> Path:
    """Run one command of a pair alone, only once; return its work folder."""
    kept = world.folder / "alone" / f"{_PAIRS.index(pair)}_{index}"
    if kept.exists():
        return kept
    work = folder / "work"
    for name in pair.scenarios:
        world.prepare(SCENARIOS[name], work)
    words = [*SCENARIOS[pair.scenarios[index]].command(work), *pair.more[index]]
    run = world.start(words, folder / "tmp", folder / "outputs").wait(_LIMITS)
    if run.status:
        raise RuntimeError(f"{pair.name}: a command fails alone\n{run.stderr}")
    kept.parent.mkdir(exist_ok=True)
    try:
        work.rename(kept)
    except OSError:  # another trial was first
        return kept
    return kept


def _wait_for_both(started: dict[int, Started]) -> list[Run]:
    """Wait for the end of two runs."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda index: started[index].wait(_LIMITS), (0, 1)))


def _problems_of_refusal(run: Run, other: Run) -> list[str]:
    """Check that a refused command names the other process, unless that had ended and its result is the reason."""
    lines = error_lines(run)
    if len(lines) == 1 and "in use" not in lines[0] and other.began + other.seconds < run.began + run.seconds:
        return []
    if run.status != 2 or len(lines) != 1:
        return [f"status {run.status} with {len(lines)} lines of error"]
    if not re.search(r"\b\d{2,}\b", lines[0]) or "process" not in lines[0]:
        return [f"the refusal does not name the other process: {lines[0][:200]}"]
    if str(other.pid) not in lines[0]:
        return [f"the refusal names another process than {other.pid}: {lines[0][:200]}"]
    return []


def _one_after_the_other(runs: list[Run]) -> bool:
    """Return True if the second command can have started its work after the end of the first."""
    ends = [run.began + run.seconds for run in runs]
    return abs(ends[0] - ends[1]) > min(run.seconds for run in runs) / 2


def _results(scenario: Scenario, more: tuple[str, ...]) -> list[str]:
    """Return the outputs of a command, relative to its work folder."""
    named = {"training": "SAVE/new", "testing": "SAVE/tested", "ensemble": "SAVE/ensemble_c0-1-2"}
    part = named.get(scenario.name, scenario.output)
    if "-r" in more:
        part = f"SAVE/{more[more.index('-r') + 1]}"
    return [part, "SAVE/soft_labels"] if scenario.name == "ensemble" else [part]


def _problems_of_next(
    world: World, done: list[int], scenarios: list[Scenario], commands, temporary: Path, folder: Path
) -> list[str]:
    """Run a successful command once more: it must not be refused because of a lock."""
    if not done:
        return []
    index = done[-1]
    words = [*commands[index], *scenarios[index].again]
    run = world.start(words, temporary, folder / "outputs").wait(_LIMITS)
    if "in use" in run.stderr or run.status not in (0, 2):
        return [f"the next command is refused: {' '.join(error_lines(run))[:200]}"]
    return []


PAIRS = Kind("pairs", _TRIALS, (), _perform)
