"""Help, version and option errors are handled before any heavy import; errors are one line."""

import importlib
import platform
import subprocess
import sys
from importlib.metadata import version

import pytest
import torch
from torch._inductor.exc import InvalidCxxCompiler

from base.version import VERSION
from tests.conftest import ROOT
from utils.cli.command_line import OneLineParser, run_stage

SCRIPTS = ("resample_data.py", "training_network.py", "testing_network.py", "ensemble.py")
HEAVY = {"torch", "numpy", "scipy", "SimpleITK", "nibabel", "matplotlib", "visdom", "tqdm"}


def ask(script: str, *arguments: str) -> tuple[subprocess.CompletedProcess, list[str], set[str]]:
    """Run a script; return the finished process, its lines on standard error, and the packages that it imported."""
    command = [sys.executable, "-X", "importtime", script, *arguments]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = process.stderr.splitlines()
    modules = [line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")]
    errors = [line for line in lines if not line.startswith("import time:")]
    return process, errors, {module.split(".")[0] for module in modules}


@pytest.mark.parametrize(
    ("script", "option", "begin"),
    [
        *((script, "--help", "usage: ") for script in (*SCRIPTS, "demo.py")),
        ("ensemble.py", "--version", "ensemble.py 1"),
    ],
)
def test_help_imports_nothing_heavy(script, option, begin):
    process, _, packages = ask(script, option)
    assert process.returncode == 0
    assert process.stdout.startswith(begin)
    assert "argparse" in packages
    assert not packages & HEAVY


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("wrong", [["--colour", "red"], ["-s", "nowhere/SAVE", "-d", "nowhere/DATA", "-e", "val"]])
def test_wrong_options_are_refused_before_heavy_imports(script, wrong):
    process, errors, packages = ask(script, *wrong)
    assert process.returncode == 2
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert not packages & HEAVY


@pytest.mark.parametrize("script", [*SCRIPTS, "demo.py"])
def test_each_script_prints_its_version_and_those_of_its_dependencies(script, capsys):
    parser = importlib.import_module(script.removesuffix(".py")).build_parser()
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--version"])
    assert ended.value.code == 0
    words = f"{VERSION} (Python {platform.python_version()}, torch {version('torch')}, numpy "
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "error: the GPU's memory is full; train with a smaller"),
        (MemoryError("Unable to allocate 9 TiB"), "error: the main memory is full (Unable to allocate 9 TiB)"),
        (InvalidCxxCompiler(), "error: --compile: PyTorch cannot compile the network here (No working C++ compiler"),
    ],
)
def test_device_errors_give_one_line(monkeypatch, capsys, error, line):
    def main(args):
        raise error

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit) as ended:
        run_stage(OneLineParser, main)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(line)
    monkeypatch.setattr(sys, "argv", ["stage", "--debug"])
    with pytest.raises(type(error)):
        run_stage(OneLineParser, main)


def test_debug_shows_the_traceback_of_an_error():
    command = [sys.executable, "resample_data.py", "-d", "nowhere", "--debug"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode != 0
    assert "Traceback" in process.stderr
