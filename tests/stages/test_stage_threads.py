"""Each stage uses and prints the requested number of threads."""

import json

import pytest
import torch

from tests.material import SMALL


@pytest.fixture(autouse=True)
def restore_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_each_stage_uses_and_prints_the_requested_threads(call, kidneys, save, tmp_path):
    where = ["-d", kidneys, "-s", tmp_path]
    options = ["--classes", "0,1,2", "-i", 1, "-r", "new", "--threads", 3]
    assert "cases, on cpu, 3 threads\n" in call("training_network.py", *SMALL, *where, *options)
    assert torch.get_num_threads() == 3
    assert "threads" not in json.loads((tmp_path / "new" / "experiment.json").read_text())["options"]

    testing = ["-e", "test", "--network-weights", save / "one" / "FINAL_*.pth", "--threads", 2]
    assert "predicting on cpu, 2 threads\n" in call("testing_network.py", *where, *testing)
    assert torch.get_num_threads() == 2

    averaging = ["-e", "test", "--classes", "0,1,2", "--threads", 1]
    assert "predicting on cpu, 1 thread\n" in call("ensemble.py", *where, *averaging)
    assert torch.get_num_threads() == 1


def test_zero_threads_are_refused(run_afresh):
    for script in ("training_network.py", "testing_network.py", "ensemble.py", "resample_data.py"):
        assert "--threads: '0' is not a positive" in run_afresh(script, "--threads", 0, status=2).stderr
