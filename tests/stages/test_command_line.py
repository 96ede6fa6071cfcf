"""What is asked of the command line alone is answered at once."""

import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT

SCRIPTS = ("resample_data.py", "training_network.py", "testing_network.py", "ensemble.py")


def best_of_five(command) -> tuple[float, subprocess.CompletedProcess]:
    """Shortest of five times in seconds, and the last finished process."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        times.append(time.perf_counter() - began)
    return min(times), process


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_answers_within_half_a_second(script):
    seconds, process = best_of_five([sys.executable, script, "--help"])
    assert process.returncode == 0
    assert process.stdout.startswith("usage: ")
    assert seconds < 0.5


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_wrong_option_is_refused_within_half_a_second(script):
    seconds, process = best_of_five([sys.executable, script, "-d", ".", "--colour", "red"])
    assert process.returncode == 2
    assert process.stderr.startswith("error: ")
    assert process.stderr.count("\n") == 1
    assert seconds < 0.5


def test_debug_shows_where_an_error_came_from():
    command = [sys.executable, "resample_data.py", "-d", "nowhere", "--debug"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode != 0
    assert "Traceback" in process.stderr
