"""Several processes of a test, as torchrun starts them: from a server that has imported PyTorch already, so at once."""

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
_CONTEXT.set_forkserver_preload(["torch", "SimpleITK", "scipy.ndimage", "matplotlib.pyplot"])
_SECONDS = 60


class Ended(NamedTuple):
    """How a process ended: its status (negative: the signal that killed it) and what it wrote."""

    status: int
    output: str


def together(function: Callable, *arguments, count: int = 2) -> list[Ended]:
    """Call a function of a module in `count` processes that know of each other; how they ended, by rank."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / str(rank) for rank in range(count)]
        processes = [
            _CONTEXT.Process(target=_begin, args=(rank, count, port, outputs[rank], function, arguments))
            for rank in range(count)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(_SECONDS)
            process.kill()  # one that hangs
            process.join()
        return [Ended(process.exitcode, path.read_text()) for process, path in zip(processes, outputs)]


def stage(script: str, *words) -> None:
    """Run a stage as its command line does."""
    from utils.command_line import run_stage

    module = importlib.import_module(script)
    sys.argv = [f"{script}.py", *(str(word) for word in words)]
    run_stage(module.build_parser, module.main)


def _begin(rank: int, count: int, port: int, output: Path, function: Callable, arguments: tuple) -> None:
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ.update({name: str(number) for name, number in numbers.items()}, MASTER_ADDR="127.0.0.1")
    function(*arguments)
