"""Execution of trials, several in parallel, each in its own folder that is removed afterwards."""

import math
import multiprocessing
import shutil
import subprocess
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tests.campaign.kinds import KINDS
from tests.campaign.trials import Outcome, generator
from tests.campaign.world import World


@dataclass(frozen=True)
class Performed:
    """A finished trial."""

    kind: str
    number: int
    outcome: Outcome
    seconds: float


def numbers_of(kind: str, share: float) -> range:
    """Return the numbers of the first trials of a kind, a share of its full number."""
    return range(math.ceil(share * KINDS[kind].trials))


def perform(kind: str, number: int, seed: int, world: World, keep: bool = False) -> Performed:
    """Perform one trial."""
    folder = world.folder / "trials" / f"{kind}_{number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.monotonic()
    try:
        outcome = KINDS[kind].perform(world, number, generator(seed, kind, number), folder)
    except Exception:  # an error of the campaign itself must not end it
        outcome = Outcome("?", [f"THE CAMPAIGN ITSELF FAILED: {traceback.format_exc()}"])
    finally:
        if not keep:
            _remove(folder)
    return Performed(kind, number, outcome, time.monotonic() - began)


def perform_all(
    chosen: list[tuple[str, int]], seed: int, world: World, jobs: int, keep: bool = False
) -> Iterator[Performed]:
    """Perform trials in `jobs` processes; yield each when it is finished."""
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"))
    try:
        futures = [pool.submit(perform, kind, number, seed, world, keep) for kind, number in chosen]
        for future in as_completed(futures):
            yield future.result()
    finally:  # a stopped campaign still ends the trials that have started
        pool.shutdown(cancel_futures=True)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError:  # a process still writes there, or a disk is mounted
        subprocess.run(["umount", "-l", str(folder / "disk")], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
