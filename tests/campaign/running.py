"""Observed runs of stages, with limits of time, memory and file size, and a marker that all processes inherit."""

import faulthandler
import multiprocessing
import os
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.processes import stage

ROOT = Path(__file__).resolve().parents[2]
MARKER = "CAMPAIGN_MARKER"
_CONTEXT = multiprocessing.get_context("forkserver")  # with the preloaded modules of tests.processes
_POLL_SECONDS = 0.05
_TRACEBACK_AFTER = 0.9  # of its time limit, a run prints its traceback


@dataclass(frozen=True)
class Limits:
    """Limits of one run: seconds, bytes of memory of all its processes, bytes of each written file."""

    seconds: float = 45
    memory_bytes: float = 4e9
    file_bytes: int | None = None


LIMITS = Limits()
_LONG_LIMITS = Limits(seconds=120)


class Run(NamedTuple):
    """End of a run: `excess` describes an exceeded limit, `left` counts processes that outlived it."""

    words: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    seconds: float
    peak_bytes: int
    excess: str = ""
    left: int = 0
    pid: int = 0
    began: float = 0.0


def environment_for(temporary: Path) -> dict[str, str]:
    """Return environment variables for one trial: one thread, a temporary folder, and a unique marker."""
    temporary.mkdir(parents=True, exist_ok=True)
    return {"OMP_NUM_THREADS": "1", "TMPDIR": str(temporary), MARKER: secrets.token_hex(8)}


def run_forked(words, temporary: Path, limits: Limits = LIMITS) -> Run:
    """Run a stage in a process forked from one that has imported PyTorch."""
    words = tuple(str(word) for word in words)
    temporary.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:  # not on the full disk
        outputs = [Path(folder) / "out", Path(folder) / "err"]
        collectors = [_Collector(path) for path in outputs] if limits.file_bytes is not None else []
        environment = environment_for(temporary)
        process = _CONTEXT.Process(target=_begin, args=(environment, outputs, limits, words))
        began = time.monotonic()
        process.start()

        def status() -> int | None:
            process.join(_POLL_SECONDS)
            return process.exitcode

        ended = _observe(words, process.pid, status, began, outputs, limits)
        process.close()
        if collectors:
            ended = ended._replace(stdout=collectors[0].finish(), stderr=collectors[1].finish())
        return ended


class _Collector(threading.Thread):
    """Collects the data written to a named pipe, which is not subject to the file size limit."""

    def __init__(self, path: Path):
        super().__init__(daemon=True)
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._parts: list[bytes] = []
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        while True:
            ended = self._ended.is_set()
            try:
                part = os.read(self._descriptor, 1 << 16)
            except BlockingIOError:
                part = b""
            self._parts.append(part)
            if not part:
                if ended:
                    return
                time.sleep(_POLL_SECONDS / 5)

    def finish(self) -> str:
        """Return the collected text; call it after all writers have ended."""
        self._ended.set()
        self.join()
        os.close(self._descriptor)
        return b"".join(self._parts).decode("utf-8", "replace")


class _Forked:
    """A forked stage with the methods of `subprocess.Popen`."""

    def __init__(self, environment: dict[str, str], outputs: list[Path], words: tuple[str, ...]):
        self._process = _CONTEXT.Process(target=_begin, args=(environment, outputs, LIMITS, words))
        self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        self._process.join(0)
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("stage", timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


class Started:
    """A stage in its own interpreter and session, as started by a user; or forked, which is faster."""

    def __init__(self, words, temporary: Path, folder: Path, forked: bool = False):
        self.words = tuple(str(word) for word in words)
        self.environment = environment_for(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        self._outputs = [folder / f"{secrets.token_hex(4)}.{name}" for name in ("out", "err")]
        command = [sys.executable, f"{self.words[0]}.py", *self.words[1:]]
        self.began = time.monotonic()
        if forked:
            self.process = _Forked(self.environment, self._outputs, self.words)
            return
        with self._outputs[0].open("wb") as out, self._outputs[1].open("wb") as error:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=error,
                start_new_session=True,
            )

    def wait(self, limits: Limits = _LONG_LIMITS) -> Run:
        """Wait for the end of the stage and return its run."""

        def status() -> int | None:
            try:
                return self.process.wait(_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                return None

        ended = _observe(self.words, self.process.pid, status, self.began, self._outputs, limits)
        for path in self._outputs:
            path.unlink(missing_ok=True)
        return ended

    def alive(self) -> list[int]:
        """Return the living processes in its session or with its marker."""
        return [*_session_members(self.process.pid), *marked_processes(self.environment[MARKER])]

    def kill(self) -> None:
        """Kill the process, but not its children."""
        self.process.send_signal(signal.SIGKILL)


def marked_processes(marker: str) -> list[int]:
    """Return the living processes whose environment contains the marker."""
    found, wanted = [], f"{MARKER}={marker}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def _begin(environment: dict[str, str], outputs: list[Path], limits: Limits, words: tuple[str, ...]) -> None:
    os.setsid()  # the session identifies the process and its children
    for descriptor, path in enumerate(outputs, start=1):
        with path.open("w") as file:
            os.dup2(file.fileno(), descriptor)
    os.environ.update(environment)
    os.chdir(ROOT)
    tempfile.tempdir = None
    if limits.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    faulthandler.dump_traceback_later(limits.seconds * _TRACEBACK_AFTER)  # shows where it hangs
    stage(*words)


def _observe(
    words, session: int, status: Callable[[], int | None], began: float, outputs: list[Path], limits: Limits
) -> Run:
    peak, excess = 0, ""
    while (code := status()) is None:
        peak = max(peak, sum(_resident_bytes(pid) for pid in _session_members(session)))
        if time.monotonic() - began > limits.seconds:
            excess = f"ran for more than {limits.seconds:g} s"
        if peak > limits.memory_bytes:
            excess = f"took more than {limits.memory_bytes / 1e9:g} GB of memory"
        if excess:
            _kill(_session_members(session))
    seconds = time.monotonic() - began
    left = _wait_for_end(session)
    _kill(left)
    texts = [path.read_bytes().decode("utf-8", "replace") if path.is_file() else "" for path in outputs]
    return Run(words, code, *texts, seconds, peak, excess, len(left) if not excess else 0, session, began)


def _wait_for_end(session: int, timeout: float = 4) -> list[int]:
    """Return the processes of a session that are still alive after some seconds."""
    end = time.monotonic() + timeout
    while (left := _session_members(session)) and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
    return left


def _session_members(session: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, _, _, own = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            except (OSError, ValueError):
                continue
            if int(own) == session and state not in "ZX":
                found.append(int(folder.name))
    return found


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def _kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
