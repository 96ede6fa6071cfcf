"""Common parts of all benchmarks: rows of a table, paired timing, memory of a command, the report."""

import argparse
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from base.json_files import write_json
from benchmarks.machine import describe_machine

WORK_FOLDER = Path("benchmark_output")

_POLLS_PER_SECOND = 50


@dataclass(frozen=True)
class Row:
    """One measurement, smaller is better: `value` of `name`, relative to the `reference` of `against`, in `unit`.

    The ratio of both is compared with `target`; without a `reference`, the value itself is (see `absolute`).
    """

    name: str
    against: str
    value: float
    reference: float | None
    target: float
    unit: str

    @classmethod
    def absolute(cls, name: str, value: float, target: float, unit: str) -> "Row":
        """Return a row whose value is compared directly with a target in the same unit."""
        return cls(name, "", value, None, target, unit)

    @property
    def ratio(self) -> float | None:
        """`value` / `reference`; None without a reference."""
        return self.value / self.reference if self.reference else None

    @property
    def is_met(self) -> bool:
        return bool((self.value if self.ratio is None else self.ratio) <= self.target)


def side_by_side(first: Callable[[], object], second: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the median wall times in seconds of two callables that run alternately, after one warm-up run each."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(repeats + 1):
        for call, times in zip((first, second), seconds):
            began = time.perf_counter()
            call()
            if number:
                times.append(time.perf_counter() - began)
    return median(seconds[0]), median(seconds[1])


def run_measured(command: Sequence[object]) -> tuple[float, int]:
    """Run a command; return its wall time in seconds and its peak resident memory in bytes (on Linux).

    The memory is the sum over the process and all processes that it starts, of resident pages, anonymous or of mapped
    files (libraries included); a page shared by two processes counts twice. It is sampled 50 times per second; the
    kernel's record of the peak of each single process is taken into account.

    Raises:
        RuntimeError: the command failed; the message contains the end of its output.
    """
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command], stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        peak = 0
        try:
            while process.poll() is None:
                sizes = _resident_bytes(process.pid)
                peak = max([peak, sum(now for now, _ in sizes), *(highest for _, highest in sizes)])
                time.sleep(1 / _POLLS_PER_SECOND)
        except BaseException:  # such as Ctrl-C, which does not reach another session
            os.killpg(process.pid, signal.SIGKILL)
            raise
        seconds = time.perf_counter() - began
        if process.returncode:
            output.seek(0)
            end = output.read().decode("utf-8", "replace").strip()[-2000:]
            raise RuntimeError(f"{' '.join(str(word) for word in command)}: exit status {process.returncode}\n{end}")
    return seconds, peak


def _resident_bytes(session: int) -> list[tuple[int, int]]:
    """Return the current and the largest number of resident bytes of each process of a session."""
    memories = set()  # a child before its exec shares the memory of its parent and reports the same numbers
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and os.getsid(int(folder.name)) == session:
                lines = (folder / "status").read_text().splitlines()
                memories.add(tuple(line for line in lines if line.startswith("Vm")))
        except OSError:  # the process has ended
            continue
    sizes = [{name: int(value.split()[0]) for name, value in (line.split(":") for line in m)} for m in memories]
    # A zombie process has no memory.
    return [(1024 * kilobytes["VmRSS"], 1024 * kilobytes["VmHWM"]) for kilobytes in sizes if kilobytes]


def report(title: str, rows: Sequence[Row], json_path: Path | None) -> None:
    """Print a table of `rows`; write it as JSON, with a description of the machine."""
    width = max([len(title), *(len(row.name) for row in rows)])
    against = max([len("against"), *(len(row.against) for row in rows)])
    print(
        f"\n{title:{width}}  {'against':{against}} {'value':>9} {'against':>9} {'':4} {'ratio':>7} {'target':>7}  met"
    )
    for row in rows:
        figures = [f"{number:9.4g}" if number is not None else f"{'-':>9}" for number in (row.value, row.reference)]
        ratio = f"{row.ratio:7.3f}" if row.ratio is not None else f"{'-':>7}"
        met = "yes" if row.is_met else "NO"
        print(
            f"{row.name:{width}}  {row.against:{against}} {' '.join(figures)} {row.unit:4} {ratio} {row.target:7.4g}"
            f"  {met}"
        )
    if json_path:
        measured = [{**asdict(row), "ratio": row.ratio, "met": row.is_met} for row in rows]
        write_json(json_path, {"title": title, "machine": describe_machine(), "rows": measured})


def parse_options(description: str, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the options of every benchmark: `data`, `work` and `json`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="folder of case folders in the format of KiTS19 (default: phantoms)",
    )
    parser.add_argument(
        "--work", type=Path, default=WORK_FOLDER, metavar="FOLDER", help=f"folder for outputs (default: {WORK_FOLDER})"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table to this file")
    return parser.parse_args(arguments)


def run_alone(title: str, run: Callable[[Path | None, Path], list[Row]]) -> None:
    """Parse the options of a benchmark, run it and report its rows."""
    args = parse_options(title)
    report(title, run(args.data, args.work), args.json)
