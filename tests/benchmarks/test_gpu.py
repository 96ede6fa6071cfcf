"""The benchmark of a GPU, tried on the CPU with tiny networks and volumes."""

import json

import pytest

from benchmarks import gpu
from networks import ARCHITECTURES


def test_every_network_is_compared_and_timed(tmp_path, monkeypatch, capsys):
    few = {name: ARCHITECTURES[name] for name in ("dil2d", "unet3d")}
    monkeypatch.setattr("networks.ARCHITECTURES", few)
    monkeypatch.setattr(gpu, "compiled", lambda device, sizes: gpu.Row.absolute("compiled", 1.0, 1.0, "s"))
    gpu.main(["--device", "cpu", "--tiny", "--work", str(tmp_path), "--json", str(tmp_path / "gpu.json")])
    rows = {row["name"]: row for row in json.loads((tmp_path / "gpu.json").read_text())["rows"]}
    for name in ("dil2D", "UNet3D"):
        assert rows[f"{name}, largest difference of probabilities, fp32"]["value"] == 0
        assert 0 <= rows[f"{name}, 1 - Dice of the labels in bf16"]["value"] < 0.1
        assert {row["against"] for key, row in rows.items() if key.startswith(name)} >= {
            "bare step",
            "forward passes alone",
        }
    assert "UNet3D, training step, 1 patches of 8" in capsys.readouterr().out


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(gpu, "NEEDED", ("torch", "no_such_package", "another_one"))
    with pytest.raises(SystemExit, match="missing here: no_such_package, another_one"):
        gpu.main([])


def test_a_machine_without_a_gpu_is_told(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match=r"no CUDA device here; .*--device cpu --tiny"):
        gpu.main([])
