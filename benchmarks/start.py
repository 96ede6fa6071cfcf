"""Time of `--help` of each script."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.material import ROOT
from benchmarks.measure import Row, run_alone

SCRIPTS = ("resample_data", "training_network", "testing_network", "ensemble", "predict", "export_network")
TARGET_SECONDS = 0.5
REPEATS = 5


def run(data_folder: Path | None, work_folder: Path) -> list[Row]:
    return [Row.absolute(f"{script}.py --help", _seconds_of_help(script), TARGET_SECONDS, "s") for script in SCRIPTS]


def _seconds_of_help(script: str) -> float:
    """Return the median wall time, after one run that fills the file cache."""
    seconds = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        subprocess.run([sys.executable, f"{script}.py", "--help"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
    return median(seconds[1:])


def main() -> None:
    run_alone("start", run)


if __name__ == "__main__":
    main()
