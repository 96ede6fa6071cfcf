import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT

PROGRAM = """
from utils.runtime.peak_memory import peak_memory_mb

before = peak_memory_mb()
b"x" * 100_000_000
print(before, peak_memory_mb())
"""


def test_freed_memory_counts_but_not_that_of_the_parent_process():
    taken = np.ones(150_000_000, np.uint8)
    output = subprocess.check_output([sys.executable, "-c", PROGRAM], cwd=ROOT, text=True)
    before, after = map(float, output.split())
    assert before < 50 < taken.nbytes / 1e6
    assert 95 < after - before < 105


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone can")
def test_a_peak_can_be_forgotten():
    lines = PROGRAM.replace("import peak", "import forget_peak_memory, peak").replace(
        "print(before, ", "forget_peak_memory()\nprint(before, "
    )
    before, after = map(float, subprocess.check_output([sys.executable, "-c", lines], cwd=ROOT, text=True).split())
    assert after - before < 5
