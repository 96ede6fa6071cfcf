import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from base.limits import reading_limits
from utils.runtime.worker_pool import Died, run_each

PARENT = (
    "import sys\n"
    "from tests.utils.runtime.test_worker_pool import sleep\n"
    "from utils.runtime.worker_pool import run_each\n"
    "if __name__ == '__main__':\n"
    "    list(run_each(sleep, [(sys.argv[1], number) for number in range(2)], 2))\n"
)


def square(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    if number == 4:
        os._exit(7)
    if number == 5:
        with reading_limits(0.1, 2**30):
            signal.sigwait([signal.SIGUSR1])
    if number == 6:
        os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n\x1b[0m\n")
        os.abort()
    if number == 7:
        warnings.warn("a library's warning", stacklevel=1)
    return number**2


def allocate(size: int) -> str:
    try:
        with reading_limits(60, 2**28):
            return str(len(bytearray(size)))
    except MemoryError:
        return "refused"


def fail(number: int) -> None:
    raise ValueError(f"task {number}")


def sleep(folder: str, number: int) -> None:
    Path(folder, f"{number}").write_text(str(os.getpid()))
    time.sleep(60)


def test_a_process_that_dies_loses_only_its_own_task(capfd):
    results = dict(run_each(square, [(number,) for number in range(8)], 2))
    assert {number: results[number] for number in (0, 1, 2, 7)} == {0: 0, 1: 1, 2: 4, 7: 49}
    assert results[3] == Died("its process was ended by SIGSEGV")
    assert results[4] == Died("its process ended with status 7")
    assert results[5] == Died("reading it took too long")
    how = "its process was ended by SIGABRT; its last output: "
    assert results[6] == Died(how + "terminate called after throwing an instance of 'std::bad_alloc'")
    assert "a library's warning" in capfd.readouterr().err


def stop_before_work() -> None:
    sys.exit("this machine has no threads left")


def test_a_process_that_fails_at_its_start_reports_why():
    _, died = next(run_each(square, [(0,)], 1, stop_before_work))
    assert died == Died("its process ended with status 1; its last output: this machine has no threads left")


def test_a_process_without_tasks_ends_silently(capfd):
    """No signal must reach it during the interpreter's shutdown."""
    for _ in range(20):
        assert dict(run_each(square, [(1,), (2,)], 2)) == {0: 1, 1: 4}
    assert capfd.readouterr().err == ""


def test_memory_beyond_the_limit_is_refused():
    assert dict(run_each(allocate, [(2**20,), (2**33,)], 1)) == {0: "1048576", 1: "refused"}


def test_an_exception_is_raised_in_the_parent():
    with pytest.raises(ValueError, match="task 0"):
        list(run_each(fail, [(0,)], 1))


def test_no_worker_outlives_its_parent(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen([sys.executable, tmp_path / "parent.py", tmp_path], env=environment) as parent:
        until = time.monotonic() + 60
        files = [tmp_path / "0", tmp_path / "1"]
        while not all(path.exists() and path.read_text() for path in files) and time.monotonic() < until:
            time.sleep(0.02)
        parent.kill()
    workers = [int(path.read_text()) for path in files]
    until = time.monotonic() + 10
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(_is_running(worker) for worker in workers)


def _is_running(number: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{number}/status").read_text()
    except OSError:
        return False
