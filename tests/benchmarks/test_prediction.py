import pytest

from benchmarks.prediction import quantized
from data.cases import find_cases
from networks.exported import read_exported


def test_a_network_is_quantized_for_the_benchmark(kidneys, save, tmp_path):
    pytest.importorskip("nncf")
    (weights,), (case,) = (save / "one").glob("FINAL*.pth"), find_cases(kidneys, "val")
    path = quantized(weights, case, tmp_path)
    assert read_exported(path).document["precision"] == "int8"
    assert path.stat().st_size < 0.6 * weights.stat().st_size
