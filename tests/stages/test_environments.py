"""Notebooks, terminals without Unicode, names from old archives: the stages start and print there, too."""

import io
import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.material import write_kidney
from utils.cli.command_line import OneLineParser, run_stage


def ended(*command, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, env=environment, check=False)


@pytest.mark.parametrize("module", ["utils.runtime.figures", "studies.pictures"])
def test_the_backend_of_a_notebook_is_not_asked_for(module):
    backend = "module://matplotlib_inline.backend_inline"
    code = f"import {module}, matplotlib; print(matplotlib.get_backend())"
    process = ended("-c", code, MPLBACKEND=backend)
    assert process.stdout.decode().strip().lower() == "agg", process.stderr.decode()


def test_one_name_that_is_not_utf8_costs_its_case_alone_even_on_a_terminal_of_ascii(tmp_path):
    folder = tmp_path / "Müller 数据"
    write_kidney(folder / "case_00000", seed=0)
    shutil.copytree(folder / "case_00000", folder / os.fsdecode(b"M\xfcller"))
    process = ended("resample_data.py", "-d", folder, "--split", "1", "0", "0", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert process.returncode == 2
    assert (folder / "train" / "case_00000" / "resampling.json").exists()
    assert b"1 resampled, 0 done before, 1 refused" in process.stdout
    lines = process.stderr.decode("ascii").splitlines()
    assert lines[-1].startswith("error: M\\udcfcller: refused: ")
    assert "its name is not UTF-8" in lines[-1]


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_whatever_is_printed_is_no_error(monkeypatch, errors):
    terminal = io.TextIOWrapper(io.BytesIO(), "ascii", errors)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "argv", ["stage"])
    run_stage(OneLineParser, lambda args: print("0.9 ± 0.1, M\udcfcller"))
    terminal.flush()
    assert terminal.buffer.getvalue() == b"0.9 \\xb1 0.1, M\\udcfcller\n"


def test_an_option_that_is_not_utf8_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["stage", "--debug", "M\udcfcller"])
    with pytest.raises(SystemExit):
        run_stage(OneLineParser, lambda args: None)
    assert capsys.readouterr().err == "error: M\\udcfcller: its name is not UTF-8; rename it\n"
