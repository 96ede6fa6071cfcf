"""The stages run with a notebook's backend, on terminals without Unicode, and with file names that are not UTF-8."""

import io
import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.material import write_kidney
from utils.cli.command_line import OneLineParser, run_stage


def run_python(*command, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, env=environment, check=False)


@pytest.mark.parametrize(
    "module", ["stages.train", "stages.predict", "stages.average", "stages.plan", "studies.pictures"]
)
def test_figures_ignore_the_backend_of_a_notebook(module):
    backend = "module://matplotlib_inline.backend_inline"
    code = f"import {module}, matplotlib; print(matplotlib.get_backend())"
    process = run_python("-c", code, MPLBACKEND=backend)
    assert process.stdout.decode().strip().lower() == "agg", process.stderr.decode()


def test_a_name_that_is_not_utf8_refuses_only_its_case_even_on_an_ascii_terminal(tmp_path):
    folder = tmp_path / "Müller 数据"
    write_kidney(folder / "case_00000", seed=0)
    shutil.copytree(folder / "case_00000", folder / os.fsdecode(b"M\xfcller"))
    process = run_python(
        "resample_data.py", "-d", folder, "--split", "1", "0", "0", PYTHONIOENCODING="ascii", LC_ALL="C"
    )
    assert process.returncode == 2
    assert (folder / "train" / "case_00000" / "resampling.json").exists()
    assert b"1 resampled, 0 done before, 1 refused" in process.stdout
    lines = process.stderr.decode("ascii").splitlines()
    assert lines[-1].startswith("error: M\\udcfcller: refused: ")
    assert "its name is not UTF-8" in lines[-1]


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_characters_that_the_terminal_lacks_are_escaped(monkeypatch, errors):
    terminal = io.TextIOWrapper(io.BytesIO(), "ascii", errors)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "argv", ["stage"])
    run_stage(OneLineParser, lambda args: print("0.9 ± 0.1, M\udcfcller"))
    terminal.flush()
    assert terminal.buffer.getvalue() == b"0.9 \\xb1 0.1, M\\udcfcller\n"


def test_an_option_that_is_not_utf8_gives_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["stage", "--debug", "M\udcfcller"])
    with pytest.raises(SystemExit):
        run_stage(OneLineParser, lambda args: None)
    assert capsys.readouterr().err == "error: M\\udcfcller: its name is not UTF-8; rename it\n"
