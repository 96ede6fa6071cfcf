"""Pool of worker processes: one that dies loses only its own task, and none outlives the parent."""

import contextlib
import ctypes
import multiprocessing
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import BinaryIO, NoReturn

# Spawned, not forked: SimpleITK's threads do not survive a fork.
_CONTEXT = multiprocessing.get_context("spawn")
_SECONDS_TO_END = 30  # after SIGTERM: a library call, such as writing a file, runs to its end first
_STANDARD_ERROR = 2
_OUTPUT_BYTES = 2**16
_LONGEST_LINE = 300
_TERMINAL_CODE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_UNINFORMATIVE = (  # beginnings of lines
    "Thread 0x",
    "Current thread",
    "Extension modules:",
    "File ",
    "<no Python frame>",
    "Aborted",
    "Segmentation fault",
)
_PARENT_DEATH_SIGNAL = 1  # Linux's prctl(PR_SET_PDEATHSIG)


@dataclass(frozen=True)
class Died:
    """A task whose process ended before it returned a result, with the reason."""

    reason: str


class _Worker:
    """A process that performs one task at a time."""

    def __init__(self, function: Callable, begin: Callable[[], None] | None):
        self.task: int | None = None
        self._is_busy = False
        self._has_died = False
        self._connection, its_end = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_work, args=(its_end, os.getpid(), function, begin), daemon=True)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process ends
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: the parent handles Ctrl-C
        with _standard_error_to(self._stderr.fileno()):
            self._process.start()
        signal.signal(signal.SIGINT, handler)
        its_end.close()

    @property
    def connection(self) -> Connection:
        return self._connection

    def give(self, number: int, task: tuple) -> None:
        self.task, self._is_busy = number, True
        with contextlib.suppress(OSError):  # it has died: `answer` reports it
            self._connection.send(task)

    def answer(self):
        """Return the result of its task, or the exception that it raised; `Died` if the process has ended."""
        self._is_busy = False
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            self._has_died = True
            return Died(_reason(self._process.exitcode, _last_line(self._stderr)))

    def end(self) -> None:
        self._connection.close()  # ends a worker that waits for a task
        if self._is_busy:
            self._process.terminate()
        self._process.join(_SECONDS_TO_END)
        self._process.kill()
        self._process.join()
        if not self._has_died:  # otherwise the last line is in `Died`
            _forward(self._stderr)
        self._stderr.close()


def run_each(
    function: Callable, tasks: Sequence[tuple], jobs: int, begin: Callable[[], None] | None = None
) -> Iterator[tuple[int, object]]:
    """Call `function` with each of the `tasks` in `jobs` processes; yield results as they are completed.

    Args:
        function, begin: defined at module level, so that other processes can import them; `begin` is called once in
            each process.

    Yields:
        The index of a task, and the return value of the function, or `Died`.

    Raises:
        Exception: any that the function raises.
    """
    left = list(enumerate(tasks))[::-1]
    workers: list[_Worker] = []
    try:
        while left or workers:
            while left and len(workers) < jobs:
                workers.append(_Worker(function, begin))
                workers[-1].give(*left.pop())
            ready = wait([worker.connection for worker in workers])
            for worker in [worker for worker in workers if worker.connection in ready]:
                number, result = worker.task, worker.answer()
                if left and not isinstance(result, Died):
                    worker.give(*left.pop())
                else:
                    workers.remove(worker)
                    worker.end()
                if isinstance(result, Exception):
                    raise result
                yield number, result
    finally:
        for worker in workers:
            worker.end()


def _work(connection: Connection, parent: int, function: Callable, begin: Callable[[], None] | None) -> None:
    signal.signal(signal.SIGTERM, _terminate)
    _die_with(parent)
    if begin:
        begin()
    try:
        with contextlib.suppress(EOFError, OSError):  # the parent has closed the connection
            while True:
                connection.send(_result_of(function, connection.recv()))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # do not interrupt the interpreter's shutdown


def _result_of(function: Callable, task: tuple):
    """Return the value that the function returns, or the exception that it raises."""
    try:
        return function(*task)
    except Exception as error:
        return error


def _terminate(signal_number, frame) -> NoReturn:
    raise SystemExit(128 + signal_number)  # runs every `finally`, so that no partial file remains


def _die_with(parent: int) -> None:
    """Let Linux kill this process when its parent ends for any reason; on other systems it ends at its next `recv`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:  # the parent ended before prctl was called
            os._exit(1)


@contextmanager
def _standard_error_to(descriptor: int) -> Iterator[None]:
    """Redirect the standard error of processes that are started in this context to another open file."""
    resource_tracker.ensure_running()  # else it would start with the first worker and inherit its standard error
    try:
        own = os.dup(_STANDARD_ERROR)
    except OSError:  # standard error is closed
        yield
        return
    os.dup2(descriptor, _STANDARD_ERROR)
    try:
        yield
    finally:
        os.dup2(own, _STANDARD_ERROR)
        os.close(own)


def _last_line(output: BinaryIO) -> str:
    """Return the last informative line of a process's output, if any; in a Python traceback it is the error."""
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _OUTPUT_BYTES))
    text = _TERMINAL_CODE.sub("", output.read().decode("utf-8", "replace"))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    lines = ["".join(sign for sign in line if sign.isprintable()) for line in lines]
    informative = [line for line in lines if line and not line.startswith(_UNINFORMATIVE)]
    return informative[-1][:_LONGEST_LINE] if informative else ""


def _forward(output: BinaryIO) -> None:
    """Forward the output of a process that ended normally, such as a library's warnings, to standard error."""
    output.seek(0)
    with contextlib.suppress(OSError):
        while content := output.read(_OUTPUT_BYTES):
            os.write(_STANDARD_ERROR, content)


def _reason(status: int | None, last_line: str) -> str:
    reason = _reason_of_status(status, last_line)
    return f"{reason}; its last output: {last_line}" if last_line else reason


def _reason_of_status(status: int | None, last_line: str) -> str:
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        killed = "its process was killed" + ("" if last_line else ", perhaps by the system for lack of memory")
        known = {"SIGALRM": "reading it took too long", "SIGKILL": killed}
        return known.get(name, f"its process was ended by {name}")
    return f"its process ended with status {status}"
