"""Perform trials, several at a time, each in a folder of its own that is removed afterwards."""

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
    """A trial that is over."""

    kind: str
    number: int
    outcome: Outcome
    seconds: float


def numbers_of(kind: str, share: float) -> range:
    """Return the numbers of the trials of a kind: the first of its full number."""
    return range(math.ceil(share * KINDS[kind].trials))


def perform(kind: str, number: int, seed: int, world: World, keep: bool = False) -> Performed:
    """Perform one trial."""
    folder = world.folder / "trials" / f"{kind}_{number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.monotonic()
    try:
        outcome = KINDS[kind].perform(world, number, generator(seed, kind, number), folder)
    except Exception:  # the campaign's own mistake must not end it
        outcome = Outcome("?", [f"THE CAMPAIGN ITSELF FAILED: {traceback.format_exc()}"])
    finally:
        if not keep:
            _remove(folder)
    return Performed(kind, number, outcome, time.monotonic() - began)


def perform_all(
    chosen: list[tuple[str, int]], seed: int, world: World, jobs: int, keep: bool = False
) -> Iterator[Performed]:
    """Perform trials in `jobs` processes; yield each when it is over."""
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"))
    try:
        futures = [pool.submit(perform, kind, number, seed, world, keep) for kind, number in chosen]
        for future in as_completed(futures):
            yield future.result()
    finally:  # a campaign that is stopped ends the trials that it has begun
        pool.shutdown(cancel_futures=True)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError:  # something still writes there, or is mounted
        subprocess.run(["umount", "-l", str(folder / "disk")], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
