"""Fixtures: image directions, functions that run stages, and results of stages on phantoms."""

import contextlib
import importlib
import io
import os
import subprocess
import sys
from pathlib import Path

# One thread each: several processes run tests at once, and more threads would compete for the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from tests.material import DIRECTIONS, SMALL, write_kidney
from tests.processes import Ended, alone, stage

ROOT = Path(__file__).resolve().parents[1]
_SECONDS = 300  # time limit of a stage


@pytest.fixture(params=DIRECTIONS.values(), ids=DIRECTIONS)
def direction(request) -> list[float]:
    """Return direction cosines, row by row."""
    return request.param.ravel().tolist()


@pytest.fixture(scope="session")
def run():
    """Return a function that runs a script in its own process, checks the exit status, and returns status and output.

    The process is forked from one that has imported PyTorch, because that import takes longer than most tests.
    """

    def run_script(script: str, *arguments, status: int = 0) -> Ended:
        ended = alone(stage, script.removesuffix(".py"), *arguments, seconds=_SECONDS)
        return _checked(ended, status, script, *arguments)

    return run_script


@pytest.fixture(scope="session")
def run_afresh():
    """Return a function like that of `run`, which starts a new interpreter instead."""

    def start_script(script: str, *arguments, status: int = 0) -> Ended:
        command = [sys.executable, script, *(str(argument) for argument in arguments)]
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_SECONDS, check=False)
        ended = Ended(process.returncode, process.stdout, process.stderr)
        return _checked(ended, status, script, *arguments)

    return start_script


def _checked(ended: Ended, status: int, *command) -> Ended:
    assert ended.status == status, f"{command}\n{ended.output}"
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended


@pytest.fixture(scope="session")
def call():
    """Return a function that calls a stage in this process and returns its standard output."""

    def call_stage(script: str, *arguments) -> str:
        stage = importlib.import_module(script.removesuffix(".py"))
        with contextlib.redirect_stdout(io.StringIO()) as output:
            stage.main(stage.build_parser().parse_args([str(argument) for argument in arguments]))
        return output.getvalue()

    return call_stage


@pytest.fixture(scope="session")
def kidneys(tmp_path_factory, run) -> Path:
    """Return a DATA folder of small phantoms, resampled to 3 × 3 × 5 mm: three cases in train, one in val, two in test.

    The last test case has no reference. Do not change the folder: copy it first.
    """
    folder = tmp_path_factory.mktemp("kidneys")
    for number, split in enumerate(("train", "train", "train", "val", "test", "test")):
        write_kidney(folder / split / f"case_{number:05d}", seed=number, with_reference=number != 5)
    run("resample_data.py", "-d", folder, "--voxel-size", 3, 3, 5)
    return folder


@pytest.fixture(scope="session")
def save(tmp_path_factory, run, kidneys) -> Path:
    """Return a SAVE folder with two networks, one and two, of classes 0,1,2. Do not change it: copy it first."""
    folder = tmp_path_factory.mktemp("save")
    for seed, name in enumerate(("one", "two")):
        options = [*SMALL, "-d", kidneys, "-s", folder, "--classes", "0,1,2", "-i", "30", "-x", seed, "-r", name]
        run("training_network.py", *options)
    return folder
