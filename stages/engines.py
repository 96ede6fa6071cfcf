"""Networks loaded for prediction, each with what computes it: PyTorch for weights, OpenVINO for exported networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from base.component_choice import ComponentChoice, path_beside_weights
from base.errors import InputError
from networks.description import NetworkDescription
from stages.scan_options import PredictorOptions
from utils.inference.array_networks import ArrayNetwork
from utils.inference.mirrored_views import MirroredViews, mirrorings
from utils.inference.volumes import InferenceOptions, VolumePredictor, predictor_of
from utils.runtime.processes import ALONE


@dataclass(frozen=True)
class KeptComponents:
    """Number of largest components to keep by name of the class, in predictions clipped to the run `clip_to`."""

    kept: Mapping[str, int]
    clip_to: str | None


@dataclass(frozen=True)
class LoadedNetwork:
    """A network that is ready to predict.

    Attributes:
        path: of its file.
        sha256: of its file.
        choice: components to keep, as chosen for it on validation cases; None if nothing was chosen.
        predict: predicts a normalized volume.
        engine: package that computes it.
    """

    path: Path
    description: NetworkDescription
    sha256: str
    choice: KeptComponents | None
    predict: VolumePredictor | MirroredViews
    engine: str


class Engines:
    """Loads networks, and runs them as the options say."""

    def __init__(self, options: PredictorOptions):
        self._options = options

    def load(self, path: Path) -> LoadedNetwork:
        """Load the network in a file.

        Raises:
            InputError: the file is missing, damaged or of another kind, or does not suit the options.
        """
        return self._load_weights(path)

    @property
    def place(self) -> str:
        """Device and threads, for the user."""
        return self._computation.place

    @cached_property
    def _computation(self):
        from stages.computation import Computation  # imports PyTorch

        return Computation.choose(self._options, ALONE)

    def _load_weights(self, path: Path) -> LoadedNetwork:
        from networks.weights import load_weights  # imports PyTorch

        trained = load_weights(path)
        description = trained.description
        found = ComponentChoice.read(path_beside_weights(path))
        own, choice = {trained.experiment: trained.sha256}, None
        if found and found.suits(own, found.clip_to, description.classes.names[1:]):
            choice = KeptComponents(found.kept, found.clip_to)
        network = self._computation.run(trained.build(), description.number_of_classes)
        predict = self._predictor(path, network, description)
        return LoadedNetwork(path, description, trained.sha256, choice, predict, "torch")

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
