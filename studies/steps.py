"""Commands of a long study: each runs once, and a stopped study resumes with the next command."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from base.json_files import read_json, write_json

_POLLS_PER_SECOND = 50


@dataclass(frozen=True)
class Step:
    """Arguments of a Python command; record and log have the name of the step."""

    name: str
    command: tuple[str, ...]


class StepError(Exception):
    """A step cannot run or has failed; the message gives the reason and the path of its output."""


class Steps:
    """Runs steps; stores records of finished steps (``<name>.json``) and their output (``<name>.log``) in `folder`.

    Args:
        root: working directory of the commands.
        cores: shared by steps that run in parallel.
    """

    def __init__(self, folder: Path, root: Path, cores: int):
        self._folder = folder
        self._root = root
        self._cores = cores

    def run(self, steps: Sequence[Step], at_once: int = 1) -> None:
        """Run the steps that are not finished, in order, up to `at_once` in parallel.

        Parallel steps share the cores equally. Steps of an incomplete last round share them among fewer, on the
        assumption that all steps take equally long. If a step fails or the study is stopped, running steps are
        terminated and waited for.

        Raises:
            StepError: a step failed, or was finished with another command.
        """
        waiting = [step for step in steps if not self._is_done(step)]
        last_round = len(waiting) - len(waiting) % at_once
        shares = [at_once] * last_round + [len(waiting) - last_round] * (len(waiting) - last_round)
        running: dict[Step, subprocess.Popen] = {}
        try:
            while waiting or running:
                while waiting and len(running) < at_once:
                    step = waiting.pop(0)
                    running[step] = self._start(step, shares.pop(0))
                for step, process in list(running.items()):
                    if process.poll() is not None:
                        self._finish(step, running.pop(step).returncode)
                time.sleep(1 / _POLLS_PER_SECOND)
        finally:
            for process in running.values():
                process.terminate()
            for process in running.values():
                process.wait()

    def _record_path(self, step: Step) -> Path:
        return self._folder / f"{step.name}.json"

    def _log_path(self, step: Step) -> Path:
        return self._folder / f"{step.name}.log"

    def _is_done(self, step: Step) -> bool:
        path = self._record_path(step)
        if not path.exists():
            return False
        before = read_json(path, {"command": [str]}, "remove it and the outputs of the step")["command"]
        if before != list(step.command):
            raise StepError(f"{path}: was run as {' '.join(before)}; choose another --work, or remove its outputs")
        return True

    def _start(self, step: Step, in_parallel: int) -> subprocess.Popen:
        print(f"{datetime.now():%H:%M} {step.name}: python {' '.join(step.command)}", flush=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        environment = dict(os.environ)
        if in_parallel > 1:
            environment["OMP_NUM_THREADS"] = str(max(1, self._cores // in_parallel))
        with self._log_path(step).open("a", encoding="utf-8") as log:
            return subprocess.Popen(
                [sys.executable, *step.command], cwd=self._root, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def _finish(self, step: Step, status: int) -> None:
        if status:
            log = self._log_path(step)
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise StepError(f"{step.name} ended with status {status}: {' '.join(last)} (output: {log})")
        finished = datetime.now().isoformat(timespec="seconds")
        write_json(self._record_path(step), {"command": step.command, "finished": finished})
