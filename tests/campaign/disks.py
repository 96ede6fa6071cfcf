"""Trials with a full disk: make room, run the stage again, and compare with a run that always had room."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.campaign.checks import problems_of
from tests.campaign.comparing import differences
from tests.campaign.folders import damaged_files, left_in_temporary, stray_files
from tests.campaign.running import Limits, run_forked
from tests.campaign.scenarios import SCENARIOS, Scenario
from tests.campaign.trials import Kind, Outcome
from tests.campaign.world import World

_FILLED = ("resample_in_place", "resample_output", "resample_split", "training", "testing", "ensemble", "student")
_TRIALS_OF_EACH = 16  # in turn: a small disk for the output, one also for the temporary folder, a file size limit
_ROOM = "1g"
_LARGEST_SHARE = 0.95  # of the space that a clean run needs
_SMALLEST_LIMIT = 100  # bytes of a file
_TRAININGS = Limits(seconds=120)


def _perform(world: World, number: int, rng: np.random.Generator, folder: Path) -> Outcome:
    scenario = SCENARIOS[_FILLED[number % len(_FILLED)]]
    method = number // len(_FILLED) % 3
    if method == 2 or not _can_mount(folder / "probe"):
        return _with_small_files(world, scenario, rng, folder)
    return _with_small_disk(world, scenario, rng, folder, temporary_too=method == 1)


def _with_small_disk(world: World, scenario: Scenario, rng, folder: Path, temporary_too: bool) -> Outcome:
    work, disk = folder / "work", folder / "disk"
    with _mounted(disk):
        (disk / "output").mkdir()
        work.mkdir()
        (work / scenario.output).symlink_to(disk / "output")
        world.prepare(scenario, work)
        temporary = disk / "tmp" if temporary_too else folder / "tmp"
        temporary.mkdir()
        used = _used_kilobytes(disk)
        growth = max(64, _kilobytes(world.expected(scenario) / scenario.output) - used)
        room = max(4, int(growth * rng.uniform(0, _LARGEST_SHARE)))
        _resize(disk, f"{used + room}k")
        what = f"{scenario.name} with {room} kB on the disk of the output{' and TMPDIR' if temporary_too else ''}"
        return Outcome(what, _run_full_then_again(world, scenario, work, temporary, None, lambda: _resize(disk, _ROOM)))


def _with_small_files(world: World, scenario: Scenario, rng, folder: Path) -> Outcome:
    work = folder / "work"
    world.prepare(scenario, work)
    output = world.expected(scenario) / scenario.output
    largest = max(path.stat().st_size for path in output.rglob("*") if path.is_file() and not path.is_symlink())
    limit = int(np.exp(rng.uniform(np.log(_SMALLEST_LIMIT), np.log(largest))))
    problems = _run_full_then_again(world, scenario, work, folder / "tmp", limit, lambda: None)
    return Outcome(f"{scenario.name} with files of {limit} bytes at most", problems)


def _run_full_then_again(world: World, scenario: Scenario, work: Path, temporary: Path, limit, make_room) -> list[str]:
    words = scenario.command(work)
    run = run_forked(words, temporary, Limits(seconds=120, file_bytes=limit))
    problems = problems_of(run, named=(str(work), str(work.parent), *_names_below(work)))
    if run.status == 2 and scenario.name.startswith("resample") and "were refused" in run.stderr:
        named = [line for line in run.stdout.splitlines() if line.startswith("refused: ")]
        if not named or not all(str(work.parent) in line for line in named):
            problems.append(f"a case is refused without the name of a file: {named[:1]}")
    problems += damaged_files(work / scenario.output)
    problems += stray_files(work / scenario.output) + left_in_temporary(temporary)
    make_room()
    again = run_forked([*words, *(scenario.again if run.status else ())], temporary, _TRAININGS)
    if run.status == 0 and scenario.again:  # a finished training refuses to run again; its results count
        again = run_forked([*words, *scenario.again], temporary, _TRAININGS)
    problems += [f"with room again: {word}" for word in problems_of(again, statuses=(0,))]
    if again.status == 0:
        problems += differences(world.expected(scenario), work, parts=_parts(scenario, work))
    return problems + [word for word in stray_files(work / scenario.output) if word not in problems]


def _parts(scenario: Scenario, work: Path) -> list[str]:
    """Return the output, and the inputs outside it."""
    return [scenario.output, *(name for name in scenario.inputs if not name.startswith(scenario.output))]


def _names_below(work: Path) -> list[str]:
    return [path.name for path in work.rglob("*")]


def _can_mount(folder: Path) -> bool:
    try:
        with _mounted(folder):
            return True
    except (subprocess.CalledProcessError, OSError):
        return False


@contextlib.contextmanager
def _mounted(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_ROOM}", "tmpfs", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


def _resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True, capture_output=True)


def _used_kilobytes(disk: Path) -> int:
    answer = subprocess.run(["df", "-k", "--output=used", str(disk)], check=True, capture_output=True, text=True)
    return int(answer.stdout.split()[-1])


def _kilobytes(folder: Path) -> int:
    """Return the space that the files of a folder take on a disk with pages of 4 kB."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum(4 * -(-size // 4096) for size in sizes)


DISK = Kind("disk", _TRIALS_OF_EACH * len(_FILLED), _FILLED, _perform)
