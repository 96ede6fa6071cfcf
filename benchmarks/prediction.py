"""predict.py with exported networks, against testing_network.py and ensemble.py: seconds, sizes, differences.

All commands are processes of their own, timed from their start to their end unless a row says otherwise. Networks are
quantized here without the test of export_network.py, which needs more cases than a benchmark has; see
`benchmarks.quantized_dice`.
"""

import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from base.csv_files import read_table
from base.json_files import read_json
from benchmarks.material import ROOT, prepared_cases
from benchmarks.measure import Row, run_alone, side_by_side
from benchmarks.networks_at_hand import CLASSES, members_like, train_once, trained_network
from data.case_folder import IMAGE
from data.cases import Case, find_cases
from data.intensities import normalize
from networks.exported import pack, read_exported
from networks.weights import load_weights, save_weights
from stages.engines import array_network, open_graph
from stages.export import model_of
from stages.quantization import RecordedInputs, quantized_model
from utils.inference.onnx_engines import installed_engine
from utils.inference.torch_networks import TorchNetwork
from utils.inference.volumes import predictor_of

REPEATS = 3
MEMBERS = 6
SMALL_UNET = ["-n", "UNet3D", "--features", "8", "--sample-size", "64", "-b", "2", "-i", "100"]
TINY = 24  # voxels a side


def run(data_folder: Path | None, work_folder: Path) -> list[Row]:
    data, save = prepared_cases(data_folder, work_folder), work_folder / "SAVE"
    (case,) = find_cases(data, "val")
    folder = work_folder / "prediction"
    dilated = trained_network(data, save, 35)
    unet = train_once(data, save, "small_unet", SMALL_UNET, 100)
    scan = " × ".join(str(side) for side in case.original_grid.size)
    rows = []
    for weights, name, target in ((dilated, "dil2D rf 35", 0.30), (unet, "UNet3D of 8 features", 0.40)):
        fp32, int8 = exported(weights, folder), quantized(weights, case, folder)
        test = partial(_run, "testing_network", *_testing(data, save, weights))
        what = f"{name}, scan of {scan}"
        against = "testing_network.py, fp32"
        predict = partial(_run, "predict", *_prediction(case, folder, int8))
        rows.append(Row(f"predict.py int8, {what}", against, *side_by_side(predict, test, REPEATS), target, "s"))
        predict = partial(_run, "predict", *_prediction(case, folder, fp32))
        rows.append(Row(f"predict.py .onnx, {what}", against, *side_by_side(predict, test, REPEATS), 0.75, "s"))
        sizes = (path.stat().st_size / 1e6 for path in (int8, weights))
        rows.append(Row(f"int8 file, {name}", "weights, fp32", *sizes, 0.4, "MB"))
        difference = largest_difference(weights, fp32, case)
        rows.append(Row.absolute(f"probabilities .onnx - PyTorch, {what}", difference, 1e-4, ""))
    return [*rows, _student_beside_ensemble(data, save, case, dilated, folder), _start(save, dilated, folder)]


def exported(weights: Path, folder: Path) -> Path:
    """Export a network; return its file."""
    path = folder / f"{weights.parent.name}.onnx"
    _run("export_network", "-w", weights, "-o", path, "--overwrite")
    return path


def quantized(weights: Path, case: Case, folder: Path) -> Path:
    """Quantize a network with inputs of a case; return its file."""
    whole = read_exported(exported(weights, folder))
    inputs = RecordedInputs(open_graph(whole, installed_engine(), 2, "fp32"), 64)
    predictor_of(array_network(whole, inputs), whole.description)(*_normalized(case, whole.description))
    path = folder / f"{weights.parent.name}_int8.onnx"
    plain = model_of(whole.description, load_weights(weights).build(), blockwise=False)
    model = quantized_model(plain, inputs.images, [case], _no_loss, 1.0)
    path.write_bytes(pack(model, {**whole.document, "precision": "int8"}))
    return path


def _no_loss(model: bytes, cases: Iterable[Case]) -> dict[str, float]:
    """Return the same Dice for every model, so that all its layers are quantized."""
    return dict.fromkeys((case.name for case in cases), 1.0)


def _normalized(case: Case, description) -> tuple[np.ndarray, np.ndarray]:
    images = case.resampled_images(description.channels)
    return normalize(list(images.values()), description.normalizations)


def largest_difference(weights: Path, path: Path, case: Case) -> float:
    """Return the largest difference of probabilities of a whole scan, between an exported network and PyTorch."""
    trained, other = load_weights(weights), read_exported(path)
    description = trained.description
    inputs = _normalized(case, description)
    own = TorchNetwork(trained.build(), torch.device("cpu"), description.number_of_classes)
    theirs = array_network(other, open_graph(other, installed_engine(), 2, "fp32"))
    answers = (predictor_of(network, description)(*inputs) for network in (own, theirs))
    return float(np.abs(np.subtract(*answers)).max())


def _student_beside_ensemble(data: Path, save: Path, case: Case, weights: Path, folder: Path) -> Row:
    """Compare the recorded seconds a scan of an int8 student of one plane, and of an ensemble of its size."""
    trained = load_weights(weights)
    student = folder / "student" / "FINAL_student_1.pth"
    student.parent.mkdir(parents=True, exist_ok=True)
    save_weights(student, trained.build(), replace(trained.description, experiment="student", planes=(0,)))
    path, out = quantized(student, case, folder), folder / "student_out"
    members = folder / "members.txt"
    members.write_text("\n".join(map(str, members_like(weights, folder / "members", MEMBERS))))
    seconds: list[list[float]] = [[], []]
    for _ in range(REPEATS):
        _run("predict", "-i", case.folder / IMAGE, "-o", out, "-w", path, "--overwrite")
        entries = read_json(out / "predictions.json", {"scans": {str: {"seconds": float}}}, "")["scans"]
        seconds[0].append(entries[case.name]["seconds"])
        split = ["-d", data, "-s", save, "-e", "val", "-r", "six", "--overwrite"]
        _run("ensemble", *split, "--trained-networks", members, "--classes", CLASSES)
        seconds[1].append(float(read_table(save / "six" / "val" / "metrics.csv")[0]["seconds"]))
    name = "int8 student of one plane, seconds a scan"
    return Row(name, f"ensemble.py of {MEMBERS}, fp32", *map(np.median, seconds), 0.03, "s")


def _start(save: Path, weights: Path, folder: Path) -> Row:
    """Compare whole commands on a tiny scan."""
    data = folder / "tiny"
    image = sitk.GetImageFromArray(np.random.default_rng(0).normal(0, 300, [TINY] * 3).astype(np.int16))
    image.SetSpacing((1.5, 1.5, 2.5))
    for split in ("train", "val", "test"):
        (data / split / f"tiny_{split}").mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(image, str(data / split / f"tiny_{split}" / IMAGE))
    _run("resample_data", "-d", data)
    case = find_cases(data, "val")[0]
    predict = partial(_run, "predict", *_prediction(case, folder, exported(weights, folder)))
    test = partial(_run, "testing_network", *_testing(data, save, weights))
    return Row("predict.py .onnx, tiny scan", "testing_network.py", *side_by_side(predict, test, REPEATS), 0.4, "s")


def _prediction(case: Case, folder: Path, network: Path) -> list[object]:
    return ["-i", case.folder / IMAGE, "-o", folder / f"{network.stem}.nii.gz", "-w", network, "--overwrite"]


def _testing(data: Path, save: Path, weights: Path) -> list[object]:
    return ["-d", data, "-s", save, "-e", "val", "-r", "timed", "--network-weights", weights, "--overwrite"]


def _run(script: str, *words: object) -> None:
    command: Sequence[str] = [sys.executable, f"{script}.py", *(str(_absolute(word)) for word in words)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _absolute(word: object) -> object:
    return word.resolve() if isinstance(word, Path) else word


def main() -> None:
    run_alone("prediction", run)


if __name__ == "__main__":
    main()
