"""Functions called in one process, or several as under torchrun, forked from a process that has imported PyTorch."""

import importlib
import multiprocessing
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_CONTEXT = multiprocessing.get_context("forkserver")  # a fork of the test itself would not have SimpleITK's threads
_CONTEXT.set_forkserver_preload(["torch", "torch._dynamo", "SimpleITK", "scipy.ndimage", "matplotlib.pyplot"])
_SECONDS = 60


class Ended(NamedTuple):
    """Result of a process: exit status (negative: the signal that killed it) and output."""

    status: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


def alone(function: Callable, *arguments, seconds: float = _SECONDS) -> Ended:
    """Call a module-level function in a new process; return its result."""
    return _call([{}], function, arguments, seconds)[0]


def together(function: Callable, *arguments, count: int = 2) -> list[Ended]:
    """Call a module-level function in `count` processes of one group, as under torchrun; return the results by rank."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    environments = [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]
    return _call(environments, function, arguments, _SECONDS)


def stage(script: str, *words) -> None:
    """Run a stage as from the command line."""
    from utils.cli.command_line import run_stage

    module = importlib.import_module(script)
    sys.argv = [f"{script}.py", *(str(word) for word in words)]
    run_stage(module.build_parser, module.main)


def _call(environments: list[dict[str, str]], function: Callable, arguments: tuple, seconds: float) -> list[Ended]:
    """Call the function in one process for each environment; return their results."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [[Path(folder) / f"{name}_{rank}" for name in ("out", "err")] for rank in range(len(environments))]
        processes = [
            _CONTEXT.Process(target=_begin, args=(environment, files, function, arguments))
            for environment, files in zip(environments, outputs)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(seconds)
            process.kill()  # if it still runs
            process.join()
        return [
            Ended(process.exitcode, *(path.read_text(encoding="utf-8") if path.exists() else "" for path in files))
            for process, files in zip(processes, outputs)
        ]


def _begin(environment: dict[str, str], outputs: list[Path], function: Callable, arguments: tuple) -> None:
    for descriptor, path in enumerate(outputs, start=1):
        with path.open("w") as file:
            os.dup2(file.fileno(), descriptor)
    os.environ.update(environment)
    function(*arguments)
