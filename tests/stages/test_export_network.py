"""Export of networks to ONNX, and prediction with them, as a user does both."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from base.errors import InputError
from networks import ARCHITECTURES
from networks.exported import KEY, read_exported
from networks.onnx_files import check_model
from networks.weights import load_weights, save_weights
from stages import quantization
from stages.predictor import Predictor
from tests.conftest import ROOT
from tests.material import write_kidney

pytest.importorskip("openvino")


def network_like(save: Path, folder: Path, name: str, **changes) -> Path:
    """Write weights of a small random network with the description of network one, changed."""
    trained = load_weights(next((save / "one").glob("FINAL*.pth"))).description
    architecture = ARCHITECTURES[name.lower()]
    described = replace(
        trained,
        experiment=name,
        architecture=architecture.name,
        receptive_field=architecture.receptive_fields[0],
        planes=trained.planes if architecture.dimensions == 2 else (),
        sample_size=16,
        features=4,
        **changes,
    )
    torch.manual_seed(0)
    network = described.build()
    with torch.no_grad():  # running statistics of batch normalizations, and outputs that are not near 1/3
        side = 16 + (0 if architecture.pads else architecture.receptive_fields[0] - 1)
        for _ in range(3):
            network(torch.randn(2, len(described.channels), *[side] * architecture.dimensions))
        for parameter in network.parameters():
            parameter.mul_(1.5)
    path = folder / f"FINAL_{name}_1.pth"
    parameters = sum(one.numel() for one in network.parameters())
    save_weights(path, network, replace(described, parameters=parameters))
    return path


@pytest.fixture(scope="module")
def scan(kidneys) -> sitk.Image:
    return sitk.ReadImage(str(kidneys / "test" / "case_00004" / "imaging.nii.gz"))


@pytest.mark.parametrize("name", [architecture.name for architecture in ARCHITECTURES.values()])
def test_every_architecture_predicts_as_in_pytorch(call, save, scan, tmp_path, name):
    changes = {"predicts_uncertainty": name.endswith("2D"), "deep_supervision": name == "UNet3D"}
    weights = network_like(save, tmp_path, name, **changes)
    output = call("export_network", "-w", weights, "-o", tmp_path / "network.onnx")
    assert "patches of noise" in output
    expected = Predictor(weights).predict(scan)
    found = Predictor(tmp_path / "network.onnx").predict(scan)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-4)
    assert np.abs(expected.probabilities - expected.probabilities.mean()).max() > 0.1
    assert (found.labels == expected.labels).mean() > 0.999
    if name.endswith("2D"):
        np.testing.assert_allclose(found.uncertainty, expected.uncertainty, rtol=1e-3, atol=1e-4)


def test_a_network_of_several_channels_is_exported_and_names_the_channel_that_lacks(call, save, scan, tmp_path):
    trained = load_weights(next((save / "one").glob("FINAL*.pth"))).description
    several = {"channels": ("T1", "T2"), "normalizations": trained.normalizations * 2, "intensities": None}
    weights = network_like(save, tmp_path, "ResNet2D", **several)
    call("export_network", "-w", weights, "-o", tmp_path / "network.onnx")
    images = {"T1": scan, "T2": scan + 40, "T3": scan}
    expected, found = (Predictor(path).predict(images) for path in (weights, tmp_path / "network.onnx"))
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-4)
    other = Predictor(weights).predict({"T2": scan, "T1": scan + 40})
    assert np.abs(other.probabilities - expected.probabilities).max() > 1e-3
    with pytest.raises(InputError, match="has no channel T2, which the network reads"):
        Predictor(weights).predict({"T1": scan})
    shifted = sitk.Image(scan)
    shifted.SetOrigin([mm + 9 for mm in scan.GetOrigin()])
    warning = "channel T2 is on another grid"
    assert any(one.startswith(warning) for one in Predictor(weights).predict({"T1": scan, "T2": shifted}).warnings)
    shifted.SetOrigin([mm + 900 for mm in scan.GetOrigin()])
    with pytest.raises(InputError, match="does not overlap with the first channel"):
        Predictor(weights).predict({"T1": scan, "T2": shifted})
    for channel, image in (("T1", scan), ("T2", scan + 40)):
        sitk.WriteImage(image, str(tmp_path / f"{channel}.nii.gz"))
    inputs = [f"{channel}={tmp_path / channel}.nii.gz" for channel in ("T1", "T2")]
    call("predict", "-i", *inputs, "-o", tmp_path / "labels.nii.gz", "-w", tmp_path / "network.onnx")
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "labels.nii.gz")))
    np.testing.assert_array_equal(labels, sitk.GetArrayFromImage(found.image))
    for channel in ("T1", "T2"):
        (tmp_path / "cases" / "c1").mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / f"{channel}.nii.gz", tmp_path / "cases" / "c1" / f"imaging_{channel}.nii.gz")
    call("predict", "-i", tmp_path / "cases", "-o", tmp_path / "out", "-w", tmp_path / "network.onnx")
    again = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "c1_prediction.nii.gz")))
    np.testing.assert_array_equal(again, labels)


def test_the_file_describes_the_network_and_names_no_patient(call, save, kidneys, tmp_path):
    shutil.copytree(save, tmp_path / "SAVE")
    weights = next((tmp_path / "SAVE" / "one").glob("FINAL*.pth"))
    common = ["-d", kidneys, "-s", tmp_path / "SAVE", "--network-weights", weights]
    call("testing_network", *common, "-e", "val", "--keep-largest", "auto")
    path = tmp_path / "student.onnx"
    output = call("export_network", "-w", weights, "-o", path, "-d", kidneys, "--licence", "CC BY 4.0")
    assert "patches of 1 cases" in output
    exported, trained = read_exported(path), load_weights(weights)
    description = trained.description
    assert exported.description.classes == description.classes
    assert exported.description.normalizations == description.normalizations
    assert exported.description.intensities == description.intensities
    assert exported.description.voxel_size_mm == description.voxel_size_mm
    assert exported.document["weights_sha256"] == trained.sha256
    assert exported.document["licence"] == "CC BY 4.0"
    assert exported.document["number_of_training_cases"] == 3
    assert exported.findings.components.kept.keys() == {"1", "2"}
    assert b"case_0000" not in path.read_bytes()
    with pytest.raises(InputError, match="exists"):
        call("export_network", "-w", weights, "-o", path)
    call("export_network", "-w", weights, "-o", path, "--overwrite")
    call("testing_network", *common, "-e", "test", "--run", "chosen")
    out = tmp_path / "out"
    call("predict", "-i", kidneys / "test", "-o", out, "-w", path)
    same = [
        (sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "case_00004_prediction.nii.gz"))))
        for folder in (out, tmp_path / "SAVE" / "chosen" / "test")
    ]
    assert (same[0] == same[1]).mean() > 0.9999
    record = json.loads((out / "predictions.json").read_text())["scans"]["case_00004"]
    assert record["versions"].keys() == {"program", "python", "numpy", "SimpleITK", "openvino"}


def test_the_file_of_a_student_names_no_case_that_its_soft_labels_were_clipped_for(call, save, tmp_path):
    record = {"temperature": 1.0, "weights": {"one": "0"}, "clips": {"Miller": "0"}}
    weights, path = network_like(save, tmp_path, "dil2D", soft_labels=record), tmp_path / "student.onnx"
    call("export_network", "-w", weights, "-o", path)
    assert read_exported(path).description.soft_labels == {"temperature": 1.0, "weights": {"one": "0"}}
    assert b"Miller" not in path.read_bytes()


def test_a_file_that_would_predict_otherwise_is_not_kept(call, save, tmp_path, monkeypatch):
    weights = next((save / "one").glob("FINAL*.pth"))
    monkeypatch.setattr("stages.export.LARGEST_DIFFERENCE", 0.0)
    with pytest.raises(InputError, match="would differ from PyTorch by"):
        call("export_network", "-w", weights, "-o", tmp_path / "student.onnx")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def five(tmp_path_factory, run) -> Path:
    """Return a DATA folder with five validation cases."""
    folder = tmp_path_factory.mktemp("five")
    for number in range(5):
        write_kidney(folder / "val" / f"case_{number:05d}", seed=number)
    run("resample_data.py", "-d", folder, "--voxel-size", 3, 3, 5)
    return folder


def test_8_bits_are_kept_if_not_inferior_and_refused_otherwise(call, save, five, scan, tmp_path, monkeypatch):
    pytest.importorskip("nncf")
    weights = next((save / "one").glob("FINAL*.pth"))
    path = tmp_path / "student_int8.onnx"
    command = ["export_network", "-w", weights, "-o", path, "--int8", "-d", five, "-e", "val"]
    output = call(*command, "--margin", 0.05)
    assert "non-inferior at 0.05" in output
    exported = read_exported(path)
    assert exported.document["precision"] == "int8"
    figures = exported.document["non_inferiority"]
    assert figures["patients"] == figures["cases"] == 5
    assert figures["difference"] == pytest.approx(figures["int8"] - figures["fp32"])
    assert path.stat().st_size < 0.5 * weights.stat().st_size
    assert Predictor(path).predict(scan).labels.shape == Predictor(weights).predict(scan).labels.shape


def test_8_bits_that_lose_dice_are_refused(call, save, five, tmp_path, monkeypatch):
    pytest.importorskip("nncf")
    path = tmp_path / "student_int8.onnx"
    command = ["export_network", "-w", next((save / "one").glob("FINAL*.pth")), "-o", path, "--int8", "-d", five]
    monkeypatch.setattr(quantization, "dices_of", stand_in(lambda some, every: some > 0))
    with pytest.raises(InputError, match=r"8 bits are not shown to be non-inferior at 0.002: mean Dice of 5 patients"):
        call(*command, "-e", "val")
    assert not path.exists()


def test_layers_that_harm_stay_in_32_bits(call, save, five, tmp_path, monkeypatch):
    pytest.importorskip("nncf")
    path = tmp_path / "student_int8.onnx"
    command = ["export_network", "-w", next((save / "one").glob("FINAL*.pth")), "-o", path, "--int8", "-d", five]
    monkeypatch.setattr(quantization, "dices_of", stand_in(lambda some, every: some == every))
    output = call(*command, "-e", "val")
    figures = read_exported(path).document["non_inferiority"]
    assert 0 < figures["convolutions_in_8_bits"] < figures["convolutions"]
    assert f"{figures['convolutions_in_8_bits']} of {figures['convolutions']} convolutions in 8 bits" in output


def stand_in(is_harmed):
    """Return a stand-in for `dices_of`: Dice falls by 0.01 where `is_harmed` of the quantized and all convolutions."""

    def dices(exported, run, cases, title):
        original(exported, run, cases[:1], title)  # records the inputs
        loss = 0.01 * is_harmed(*quantization.convolutions(exported.content))
        return {case.name: 0.5 - loss * (1 + number / 5) for number, case in enumerate(cases)}

    original = quantization.dices_of
    return dices


def test_too_few_cases_for_the_test_of_8_bits_are_refused(call, save, kidneys, tmp_path):
    weights = next((save / "one").glob("FINAL*.pth"))
    command = ["export_network", "-w", weights, "-o", tmp_path / "a.onnx"]
    with pytest.raises(InputError, match="needs references of 5 patients, and val has them of 1"):
        call(*command, "--int8", "-d", kidneys)
    with pytest.raises(InputError, match="needs cases to quantize with"):
        call(*command, "--int8")
    with pytest.raises(InputError, match="--margin: means nothing"):
        call(*command, "--margin", 0.1)


def test_metadata_can_be_read_by_other_programs(call, save, tmp_path):
    onnx = pytest.importorskip("onnx")
    weights = next((save / "one").glob("FINAL*.pth"))
    path = tmp_path / "student.onnx"
    call("export_network", "-w", weights, "-o", path)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    (entry,) = model.metadata_props
    assert entry.key == KEY
    assert json.loads(entry.value) == json.loads(check_model(path.read_bytes()).metadata[KEY])


WITHOUT = """
import importlib.util, runpy, sys
from importlib.abc import MetaPathFinder
missing, known = sys.argv[1].split(","), importlib.util.find_spec
class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
importlib.util.find_spec = lambda name, package=None: None if name in missing else known(name, package)
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_without(missing: str, home: Path, *words) -> subprocess.CompletedProcess:
    """Run predict.py in a new interpreter in which importing some packages fails, as where they are not installed."""
    command = [sys.executable, "-c", WITHOUT, missing, str(ROOT / "predict.py"), *map(str, words)]
    home.mkdir(exist_ok=True)
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=home, env=environment, capture_output=True, encoding="utf-8", timeout=100, check=False
    )


@pytest.fixture(scope="module")
def student(tmp_path_factory, call, save) -> Path:
    path = tmp_path_factory.mktemp("student") / "student.onnx"
    call("export_network", "-w", save / "one" / "FINAL*.pth", "-o", path)
    return path


def test_an_exported_network_predicts_where_there_is_no_torch_and_nothing_is_left_at_home(
    student, kidneys, tmp_path, call, save
):
    scans = kidneys / "test" / "case_00004" / "imaging.nii.gz"
    words = ["-i", scans, "-o", tmp_path / "out", "-w", student, "--threads", 1]
    ended = run_without("torch,onnx,onnxruntime,nncf,matplotlib", tmp_path / "home", *words)
    assert ended.returncode == 0, ended.stderr
    assert "on openvino, 1 thread" in ended.stdout
    assert "matplotlib is not installed" in ended.stdout
    assert not list((tmp_path / "home").iterdir())
    call("predict", "-i", scans, "-o", tmp_path / "torch", "-w", save / "one" / "FINAL*.pth")
    found, expected = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name / "case_00004_prediction.nii.gz")))
        for name in ("out", "torch")
    )
    assert (found == expected).mean() > 0.999


def test_onnx_runtime_serves_where_there_is_no_openvino(student, kidneys, tmp_path):
    pytest.importorskip("onnxruntime")
    scans = kidneys / "test" / "case_00004" / "imaging.nii.gz"
    words = ["-i", scans, "-o", tmp_path / "out", "-w", student]
    ended = run_without("torch,openvino", tmp_path / "home", *words)
    assert ended.returncode == 0, ended.stderr
    assert "(openvino would be faster)" in ended.stdout


def test_a_missing_engine_is_told_in_one_line(student, save, call, kidneys, tmp_path, monkeypatch):
    command = ["predict", "-i", kidneys / "test", "-o", tmp_path / "out", "-w"]
    monkeypatch.setattr("stages.engines.installed_engine", lambda: "onnxruntime")
    with pytest.raises(InputError, match="--precision: bf16 needs openvino: onnxruntime computes in 32 bits"):
        call(*command, student, "--precision", "bf16")
    monkeypatch.setattr("stages.engines.installed_engine", lambda: None)
    with pytest.raises(InputError, match="needs OpenVINO or ONNX Runtime, and neither is installed"):
        call(*command, student)
    monkeypatch.setattr("stages.engines.find_spec", lambda name: None)
    with pytest.raises(InputError, match="needs PyTorch, which is not installed"):
        call(*command, save / "one" / "FINAL*.pth")


def test_options_of_other_engines_are_refused(student, kidneys, tmp_path, call):
    command = ["predict", "-i", kidneys / "test", "-o", tmp_path / "out", "-w", student]
    with pytest.raises(InputError, match=r"--device: cuda: .* runs on the processor"):
        call(*command, "--device", "cuda")
    with pytest.raises(InputError, match="--compile"):
        call(*command, "--compile")
