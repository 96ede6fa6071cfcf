"""Networks loaded for prediction, each with what computes it: PyTorch for weights, OpenVINO for exported networks."""

from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from base.errors import InputError
from networks.description import NetworkDescription
from networks.exported import ExportedNetwork, read_exported
from networks.validation_findings import ValidationFindings
from stages.scan_options import PredictorOptions
from utils.inference.array_networks import ArrayNetwork
from utils.inference.mirrored_views import MirroredViews, mirrorings
from utils.inference.onnx_engines import ENGINES, EngineError, Run, installed_engine, open_with
from utils.inference.onnx_networks import OnnxNetwork
from utils.inference.volumes import InferenceOptions, VolumePredictor, predictor_of
from utils.runtime.processes import ALONE
from utils.runtime.threads import describe_place, network_threads, use_image_threads


@dataclass(frozen=True)
class LoadedNetwork:
    """A network that is ready to predict.

    Attributes:
        path: of its file.
        sha256: of its file.
        findings: on validation cases.
        predict: predicts a normalized volume.
        engine: package that computes it.
    """

    path: Path
    description: NetworkDescription
    sha256: str
    findings: ValidationFindings
    predict: VolumePredictor | MirroredViews
    engine: str


def open_graph(exported: ExportedNetwork, engine: str, threads: int, precision: str) -> Run:
    """Return a function that runs the graph of an exported network.

    Raises:
        InputError: the engine cannot read or run it, or its answers are not of the shape that its description says.
    """
    path, needs, again = exported.path, exported.needs, "export the network again"
    least_side = 2 * needs.multiple if needs.multiple > 1 else 3 if needs.margin else 1
    try:
        run = open_with(engine, exported.content, least_side, threads, precision)
    except EngineError as error:
        raise InputError(path, f"cannot be read by {engine} ({error})", again) from None

    def checked(images: np.ndarray) -> np.ndarray:
        try:
            answers = run(images)
        except EngineError as error:
            raise InputError(path, f"cannot be run by {engine} ({error})", again) from None
        sides = [side + 2 * needs.margin for side in images.shape[2:]]
        if answers.shape != (len(images), exported.description.number_of_outputs, *sides):
            raise InputError(path, f"answers images of {images.shape} with {answers.shape}", again)
        return answers

    return checked


def array_network(exported: ExportedNetwork, run: Run) -> OnnxNetwork:
    """Return an exported network, whose graph `run` runs, as a function from arrays to arrays."""
    needs, dimensions = exported.needs, exported.description.dimensions
    return OnnxNetwork(run, dimensions, needs.multiple, needs.margin, needs.activation_bytes_per_voxel)


class Engines:
    """Loads networks, and runs them as the options say."""

    def __init__(self, options: PredictorOptions):
        self._options = options
        self._places: dict[str, None] = {}  # in their order

    def load(self, path: Path) -> LoadedNetwork:
        """Load the network in a file.

        Raises:
            InputError: the file is missing, damaged or of another kind, or does not suit the options.
        """
        return self._load_exported(path) if path.suffix.lower() == ".onnx" else self._load_weights(path)

    @property
    def place(self) -> str:
        """Devices and threads of the networks loaded so far, for the user."""
        return " and ".join(self._places)

    @cached_property
    def _computation(self):
        from stages.computation import Computation  # imports PyTorch

        return Computation.choose(self._options, ALONE)

    def _load_weights(self, path: Path) -> LoadedNetwork:
        if find_spec("torch") is None:
            raise InputError(
                path, "needs PyTorch, which is not installed", "see requirements.txt, or name a .onnx file"
            )
        from networks.weights import load_weights

        trained = load_weights(path)
        description = trained.description
        findings = ValidationFindings.of_weights(path, description, trained.sha256)
        network = self._computation.run(trained.build(), description.number_of_classes)
        self._places[self._computation.place] = None
        predict = self._predictor(path, network, description)
        return LoadedNetwork(path, description, trained.sha256, findings, predict, "torch")

    def _load_exported(self, path: Path) -> LoadedNetwork:
        exported = read_exported(path)
        description = exported.description
        engine = self._engine_of(path)
        if self._options.precision == "bf16" and engine != ENGINES[0]:
            raise InputError("--precision", f"bf16 needs {ENGINES[0]}: {engine} computes in 32 bits", "leave it out")
        threads = self._options.threads or network_threads(ALONE)
        use_image_threads(threads)
        run = open_graph(exported, engine, threads, self._options.precision)
        network = array_network(exported, run)
        slower = "" if engine == ENGINES[0] else f" ({ENGINES[0]} would be faster)"
        self._places[describe_place(engine, threads) + slower] = None
        predict = self._predictor(path, network, description)
        return LoadedNetwork(path, description, exported.sha256, exported.findings, predict, engine)

    def _engine_of(self, path: Path) -> str:
        """Return the package that runs exported networks; raise InputError without one, or if options exclude it."""
        if self._options.device not in ("auto", "cpu"):
            problem = f"{self._options.device}: {path} runs on the processor"
            raise InputError("--device", problem, "leave it out, or predict with the weights (.pth)")
        if self._options.compile:
            raise InputError("--compile", f"means nothing for {path}", "leave it out")
        engine = installed_engine()
        if engine is None:
            problem = "needs OpenVINO or ONNX Runtime, and neither is installed"
            raise InputError(path, problem, "pip install -r requirements-predict.txt")
        return engine

    def _predictor(
        self, path: Path, network: ArrayNetwork, description: NetworkDescription
    ) -> VolumePredictor | MirroredViews:
        options = self._options
        try:
            mirrorings(description, options.views)
        except ValueError as error:
            raise InputError("--views", f"{path}: {error}", "ask for fewer views") from None
        inference = InferenceOptions(options.overlap, options.memory_limit_bytes, options.views)
        return predictor_of(network, description, inference)
