"""Quantization of an exported network to 8 bits, and the test that it predicts no worse.

Post-training quantization by NNCF: ranges of the activations are found with inputs that the network gets when it
predicts the cases of a split. If these cases then lose more Dice than `_SHARE_OF_MARGIN` allows, the layers that harm
them most stay in 32 bits.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from statistics import fmean

import numpy as np
from tqdm import tqdm

from base.errors import InputError
from base.label_classes import IGNORED
from data.cases import Case
from data.components import keep_components
from data.intensities import normalize
from data.predictions import Scan, reference_labels
from networks.exported import ExportedNetwork, pack, unpack
from stages.engines import array_network, open_graph
from utils.comparison.paired_tests import mean_interval, p_of_mean_above, paired
from utils.evaluation.metrics import dice
from utils.inference.onnx_engines import Run, without_telemetry
from utils.inference.volumes import predictor_of

_PACKAGES = ("nncf", "onnx", "onnxruntime")
_LARGEST_P = 0.05
_FEWEST_PATIENTS = 5
_INPUTS = 64  # that ranges of activations are found with
_SHARE_OF_MARGIN = 0.5  # that the mean Dice may lose before layers return to 32 bits
_RANKED_CASES = 10  # that show how much each layer harms
_MOST_RESTORED = 0.25  # of the convolutions, that return to 32 bits


class RecordedInputs:
    """Runs a graph, and keeps a sample of the images that it gets: each with the same chance (Vitter, 1985)."""

    def __init__(self, run: Run, count: int):
        self._run = run
        self._count = count
        self._seen = 0
        self._rng = np.random.default_rng(0)
        self.images: list[np.ndarray] = []

    def __call__(self, images: np.ndarray) -> np.ndarray:
        for image in images:
            self._seen += 1
            place = len(self.images) if len(self.images) < self._count else int(self._rng.integers(self._seen))
            if place < self._count:
                self.images[place : place + 1] = [image[None].copy()]
        return self._run(images)


def quantize(
    exported: ExportedNetwork,
    plain: bytes,
    cases: Sequence[Case],
    engine: str,
    threads: int,
    margin: float,
    split: str,
) -> ExportedNetwork:
    """Quantize an exported network, and test it on cases with references.

    Args:
        plain: the same network as a model of usual operators, which is quantized.
        margin: largest loss of mean Dice that still counts as non-inferior.
        split: name of the cases' split.

    Raises:
        InputError: NNCF is not installed, there are too few cases, or the quantized network is not shown to be
            non-inferior.
    """
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise InputError("--int8", f"needs {package}, which is not installed", "see requirements-export.txt")
    patients = {case.name: case.patient for case in cases}
    count = len(set(patients.values()))
    if count < _FEWEST_PATIENTS:
        problem = f"the test needs references of {_FEWEST_PATIENTS} patients, and {split} has them of {count}"
        raise InputError("--int8", problem, "name another split with -e")
    inputs = RecordedInputs(open_graph(exported, engine, threads, "fp32"), _INPUTS)
    before = dices_of(exported, inputs, cases, "predicting with 32 bits")
    document = {**exported.document, "precision": "int8"}

    def predict(model: bytes, some: Iterable[Case]) -> dict[str, float]:
        smaller = unpack(exported.path, pack(model, document))
        return dices_of(smaller, open_graph(smaller, engine, threads, "fp32"), list(some), "comparing 8 bits with 32")

    model = quantized_model(plain, inputs.images, cases, predict, _SHARE_OF_MARGIN * margin)
    after = predict(model, cases)
    result = tested(after, before, patients, margin)
    line = (
        f"mean Dice of {result['patients']} patients ({split}) {result['int8']:.4f} with 8 bits, {result['fp32']:.4f}"
        f" with 32: difference {result['difference']:.4f} (95% {result['low']} to {result['high']})"
    )
    p = result["p_non_inferior"]
    if (p is None and result["difference"] <= -margin) or (p is not None and p >= _LARGEST_P):
        problem = f"8 bits are not shown to be non-inferior at {margin:g}: {line}, p = {p}"
        raise InputError("--int8", problem, "leave --int8 out, test on more cases, or accept a larger --margin")
    print(f"8 bits: {line}, non-inferior at {margin:g} (p = {p})")
    some, every = convolutions(model)
    print(f"{some} of {every} convolutions in 8 bits")
    figures = {"split": split, "engine": engine, "convolutions_in_8_bits": some, "convolutions": every, **result}
    return unpack(exported.path, pack(model, {**document, "non_inferiority": figures}))


def quantized_model(
    content: bytes,
    images: Sequence[np.ndarray],
    cases: Sequence[Case],
    predict: Callable[[bytes, Iterable[Case]], dict[str, float]],
    largest_loss: float,
) -> bytes:
    """Return the bytes of the quantized model.

    Args:
        images: inputs that ranges of activations are found with.
        predict: returns the Dice of cases, by name, of the bytes of a model.
        largest_loss: of mean Dice on `cases`, above which layers return to 32 bits, if that helps.
    """
    without_telemetry()
    import logging

    import nncf
    import onnx
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    nncf.set_log_level(logging.ERROR)
    model = onnx.load_from_string(content)
    (name,) = (one.name for one in model.graph.input)
    dataset = nncf.Dataset(images, lambda image: {name: image})
    # With NNCF's fast correction of biases, a dilated network lost 0.026 of Dice on 10 scans of the hippocampus, and
    # 0.0003 without.
    # Ranges from the lowest to the highest value made a small 3D U-Net lose 0.0068 on 30 scans, ranges without the
    # outermost 0.01% of the values 0.0019.
    parameters = nncf.AdvancedQuantizationParameters(
        disable_bias_correction=True, activations_range_estimator_params=RangeEstimatorParametersSet.MEAN_QUANTILE
    )

    def mean_dice(model: onnx.ModelProto, some: Iterable[Case]) -> tuple[float, list[float]]:
        dices = list(predict(model.SerializeToString(), some).values())
        return fmean(dices), dices

    return nncf.quantize_with_accuracy_control(
        model,
        dataset,
        nncf.Dataset(cases),
        mean_dice,
        max_drop=largest_loss,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        advanced_quantization_parameters=parameters,
        advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
            max_num_iterations=math.ceil(_MOST_RESTORED * convolutions(content)[1]), ranking_subset_size=_RANKED_CASES
        ),
    ).SerializeToString()


def convolutions(content: bytes) -> tuple[int, int]:
    """Return the numbers of quantized and of all convolutions of a model."""
    import onnx

    graph = onnx.load_from_string(content).graph
    weights = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    every = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    return sum(node.input[1] in weights for node in every), len(every)


def dices_of(exported: ExportedNetwork, run: Run, cases: Sequence[Case], title: str) -> dict[str, float]:
    """Predict cases whole; return the mean Dice over the foreground classes of each, on the scan's grid."""
    description = exported.description
    classes, components = description.classes, exported.findings.components
    kept = components.kept if components and components.holds_with(None, False, 1) else 0
    predict = predictor_of(array_network(exported, run), description)
    dices = {}
    for case in tqdm(cases, title, unit="case"):
        images = list(case.resampled_images(description.channels).values())
        outputs = predict(*normalize(images, description.normalizations))
        labels = Scan.of_case(case).decide(outputs[: len(classes)], classes)
        labels, reference = keep_components(labels, kept, classes), reference_labels(case, classes)
        annotated = reference != IGNORED
        dices[case.name] = fmean(
            dice((labels == label) & annotated, reference == label) for label in classes.written_labels[1:]
        )
    return dices


def tested(
    int8: Mapping[str, float], fp32: Mapping[str, float], patients: Mapping[str, str], margin: float
) -> dict[str, object]:
    """Return the test of non-inferiority of Dice by case: see `utils.comparison.paired_tests`."""
    pair = paired(int8, fp32, patients=patients)
    differences = pair[0] - pair[1]
    low, high = mean_interval(differences)
    return {
        "cases": len(int8),
        "patients": len(differences),
        "int8": float(pair[0].mean()),
        "fp32": float(pair[1].mean()),
        "difference": float(differences.mean()),
        "low": low if low is None else round(low, 6),
        "high": high if high is None else round(high, 6),
        "margin": margin,
        "p_non_inferior": p_of_mean_above(differences, -margin),
    }
