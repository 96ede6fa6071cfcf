"""Tasks in processes of their own: one that dies costs its own task alone, and none outlives the parent."""

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
_SECONDS_TO_END = 30  # when asked to: a library is not interrupted in the middle of a file
_STANDARD_ERROR = 2
_BYTES_OF_WORDS = 2**16
_LONGEST_LINE = 300
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # of a terminal
_SAYING_NOTHING = (
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
    """A task whose process ended before it had answered, and how."""

    reason: str


class _Worker:
    """A process that takes one task at a time."""

    def __init__(self, function: Callable, begin: Callable[[], None] | None):
        self.task: int | None = None
        self._is_busy = False
        self._has_died = False
        self._connection, its_end = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_work, args=(its_end, os.getpid(), function, begin), daemon=True)
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - what it writes to standard error, until it ends
        answer = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C is answered by the parent
        with _standard_error_to(self._words.fileno()):
            self._process.start()
        signal.signal(signal.SIGINT, answer)
        its_end.close()

    @property
    def connection(self) -> Connection:
        return self._connection

    def give(self, number: int, task: tuple) -> None:
        self.task, self._is_busy = number, True
        with contextlib.suppress(OSError):  # it has died: `answer` says so
            self._connection.send(task)

    def answer(self):
        """The result of its task, or an exception that it raised; `Died` where there will be none."""
        self._is_busy = False
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            self._has_died = True
            return Died(_how(self._process.exitcode, _last_line(self._words)))

    def end(self) -> None:
        self._connection.close()  # which ends one that waits for a task
        if self._is_busy:
            self._process.terminate()
        self._process.join(_SECONDS_TO_END)
        self._process.kill()
        self._process.join()
        if not self._has_died:  # else an error tells of it
            _pass_on(self._words)
        self._words.close()


def run_each(
    function: Callable, tasks: Sequence[tuple], jobs: int, begin: Callable[[], None] | None = None
) -> Iterator[tuple[int, object]]:
    """Call `function` with each of the `tasks` in `jobs` processes; yield number and result as they come.

    Args:
        function, begin: of a module, so that other processes find them; `begin` is called once in each process.

    Yields:
        The number of a task, and what the function returned, or `Died`.

    Raises:
        Whatever the function raises.
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
        with contextlib.suppress(EOFError, OSError):  # the parent has no more tasks, or wants no result
            while True:
                connection.send(_result_of(function, connection.recv()))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the interpreter's own end is not to be interrupted


def _result_of(function: Callable, task: tuple):
    """What the function returns, or the exception that it raises."""
    try:
        return function(*task)
    except Exception as error:
        return error


def _terminate(signal_number, frame) -> NoReturn:
    raise SystemExit(128 + signal_number)  # leaves by way of every `finally`, so that nothing half-written stays


def _die_with(parent: int) -> None:
    """Have the system kill this process when its parent ends, however that ends; on other systems it ends at `recv`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before
            os._exit(1)


@contextmanager
def _standard_error_to(descriptor: int) -> Iterator[None]:
    """While entered, let processes that are started write their standard error to another open file."""
    resource_tracker.ensure_running()  # which is started with the first process, and outlives it
    try:
        own = os.dup(_STANDARD_ERROR)
    except OSError:  # there is none
        yield
        return
    os.dup2(descriptor, _STANDARD_ERROR)
    try:
        yield
    finally:
        os.dup2(own, _STANDARD_ERROR)
        os.close(own)


def _last_line(words: BinaryIO) -> str:
    """The last line that a process wrote, if any; of a traceback of Python's, that is the error."""
    size = words.seek(0, os.SEEK_END)
    words.seek(max(0, size - _BYTES_OF_WORDS))
    text = _COLOUR.sub("", words.read().decode("utf-8", "replace"))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    lines = ["".join(sign for sign in line if sign.isprintable()) for line in lines]
    telling = [line for line in lines if line and not line.startswith(_SAYING_NOTHING)]
    return telling[-1][:_LONGEST_LINE] if telling else ""


def _pass_on(words: BinaryIO) -> None:
    """Write what a process that ended well wrote, such as a library's warnings."""
    words.seek(0)
    with contextlib.suppress(OSError):
        while content := words.read(_BYTES_OF_WORDS):
            os.write(_STANDARD_ERROR, content)


def _how(status: int | None, words: str) -> str:
    how = _how_it_ended(status, words)
    return f"{how}; its last words: {words}" if words else how


def _how_it_ended(status: int | None, words: str) -> str:
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        killed = "its process was killed" + ("" if words else " from outside, as systems do for want of memory")
        known = {"SIGALRM": "reading it took too long", "SIGKILL": killed}
        return known.get(name, f"its process was ended by {name}")
    return f"its process ended with status {status}"
