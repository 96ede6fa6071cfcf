"""Trials with kills: kill a stage at a random time, run it again, and compare with an undisturbed run."""

import time
from pathlib import Path

import numpy as np

from tests.campaign.checks import problems_of
from tests.campaign.comparing import differences
from tests.campaign.folders import left_in_temporary, stray_files
from tests.campaign.running import Limits, Started
from tests.campaign.scenarios import SCENARIOS
from tests.campaign.trials import Kind, Outcome
from tests.campaign.world import World

_KILLED = ("resample_in_place", "resample_output", "resample_split", "training", "testing", "ensemble", "student")
_KILLS_OF_EACH = 40
_EARLY_SHARE = 1 / 5  # of the kills during the start of the stage; the others are after its first file
_SECONDS_TO_END = 4.0  # for the processes of a killed stage
_LIMITS = Limits(seconds=180)


def _perform(world: World, number: int, rng: np.random.Generator, folder: Path) -> Outcome:
    scenario = SCENARIOS[_KILLED[number % len(_KILLED)]]
    work, temporary = folder / "work", folder / "tmp"
    world.prepare(scenario, work)
    words = scenario.command(work)
    seconds, first, last = _moments(world, scenario.name, folder)
    early = rng.random() < _EARLY_SHARE
    wait = float(rng.uniform(0, first) if early else rng.uniform(0, max(last - first, 0.3)))

    killed = world.start(words, temporary, folder / "outputs")
    if not early:
        _wait_for_file(killed, work)
    _sleep(killed, wait)
    killed.kill()
    killed.process.wait()
    end = time.monotonic() + _SECONDS_TO_END
    while (alive := killed.alive()) and time.monotonic() < end:
        time.sleep(0.1)
    killed.wait(_LIMITS)  # ends remaining processes
    problems = [f"{len(alive)} processes were alive {_SECONDS_TO_END:g} s after the kill"] if alive else []

    run = world.start([*words, *scenario.again], temporary, folder / "outputs").wait(_LIMITS)
    problems += problems_of(run, statuses=(0,))
    if not problems or run.status == 0:
        problems += differences(world.expected(scenario), work)
    problems += stray_files(work) + left_in_temporary(temporary)
    moment = "its start" if early else "its first file"
    return Outcome(f"{scenario.name} killed {wait:.2f} s after {moment} ({seconds:.1f} s in all)", problems)


def _moments(world: World, name: str, folder: Path) -> tuple[float, float, float]:
    """Return the seconds of a clean run until its end, its first file and its last file; measured only once."""
    record = world.moments(name)
    if record.exists():
        seconds, first, last = (float(word) for word in record.read_text().split())
        return seconds, first, last
    work, scenario = folder / "measured", SCENARIOS[name]
    world.prepare(scenario, work)
    began = time.monotonic()
    started = world.start(scenario.command(work), folder / "tmp", folder / "outputs")
    first = _wait_for_file(started, work)
    run = started.wait(_LIMITS)
    last = time.monotonic() - began
    temporary = record.with_suffix(f".{folder.name}")
    temporary.write_text(f"{run.seconds} {first} {last}")
    temporary.replace(record)
    return run.seconds, first, last


def _wait_for_file(started: Started, work: Path) -> float:
    """Wait until the stage has created a file below `work` or has ended; return the seconds."""
    began, before = time.monotonic(), set(work.rglob("*"))
    while started.process.poll() is None and set(work.rglob("*")) == before:
        time.sleep(0.005)
    return time.monotonic() - began


def _sleep(started: Started, seconds: float) -> None:
    end = time.monotonic() + seconds
    while started.process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)


KILL = Kind("kill", _KILLS_OF_EACH * len(_KILLED), _KILLED, _perform)
