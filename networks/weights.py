"""Weights on disk: files that describe themselves, read without running code from them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from base.errors import InputError
from base.label_classes import LabelClasses
from networks import find_architecture
from networks.description import check_description
from networks.torch_files import check_tensors, read_torch_file, write_torch_file

_FORMAT = "ensemble-distillation weights 2"


@dataclass(frozen=True)
class TrainedNetwork:
    """Weights on disk: where, what the file says of itself, and its hash. The weights are read when it is built."""

    path: Path
    description: dict
    sha256: str

    @property
    def experiment(self) -> str:
        return self.description["experiment"]

    @property
    def is_student(self) -> bool:
        return self.description["soft_labels"] is not None

    @property
    def classes(self) -> LabelClasses:
        return LabelClasses.from_json(self.description["classes"])

    @property
    def summary(self) -> dict:
        """What a comparison of predictions tells of the network: plain values."""
        return {"parameters": self.description["parameters"], "is_student": self.is_student}

    def check(self, option: str, key: str, given) -> None:
        """Raise InputError where a `given` option (not None) contradicts what the file says under `key`."""
        stored = self.description[key]
        if given is not None and given != stored:
            raise InputError(option, f"{given} contradicts {self.path}, which says {stored}", f"leave {option} out")

    def check_classes(self, given: LabelClasses | None) -> None:
        """Raise InputError where `given` classes are not named as the file's."""
        if given is not None and given.names != self.classes.names:
            raise InputError("--classes", f"{given} contradicts {self.path}, which says {self.classes}", "leave it out")

    def build(self) -> torch.nn.Module:
        """The network with its weights, in evaluation mode."""
        network = build_network(self.description)
        network.load_state_dict(_read_weights(self.path)["state"])
        return network.eval()


def build_network(description: dict) -> torch.nn.Module:
    """A new network as `description` tells: architecture, receptive field, classes, and `Architecture.options`.

    A student that predicts uncertainty has one channel more than classes.

    Options that it leaves out are the architecture's own.
    """
    architecture = find_architecture(description["architecture"])
    options = {key: description[key] for key in ("features", "dropout", "deep_supervision") if key in description}
    channels = len(description["classes"]["names"]) + description["predicts_uncertainty"]
    return architecture.build(description["receptive_field"], channels, **options)


def inference_options(description: dict) -> dict:
    """What `utils.inference.volumes.predictor_of` must be told of a network, by the names of its arguments."""
    architecture = find_architecture(description["architecture"])
    return {
        "dimensions": architecture.dimensions,
        "pads": architecture.pads,
        "fixed_size": architecture.fixed_size,
        "planes": description["planes"],
        "window": description["sample_size"],
        "number_of_classes": len(description["classes"]["names"]),
        "predicts_uncertainty": description["predicts_uncertainty"],
    }


def save_weights(path: Path, network: torch.nn.Module, description: dict) -> None:
    """Write the weights of `network` with their `description` (plain values), whole or not at all."""
    write_torch_file(path, {"format": _FORMAT, "description": description, "state": network.state_dict()})


def load_weights(path: Path) -> TrainedNetwork:
    """Read what weights written by `save_weights` say of themselves.

    Raises:
        InputError: the file is missing, damaged, of another kind, or contradicts itself.
    """
    return TrainedNetwork(path, _read_weights(path)["description"], file_sha256(path))


def _read_weights(path: Path) -> dict:
    remedy = "name an intact FINAL_*.pth file of training_network.py"
    content = read_torch_file(path, remedy)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise InputError(path, "holds no weights of this program", remedy)
    try:
        check_description(content.get("description"))
        with torch.device("meta"):  # takes no memory, whatever the description asks for
            network = build_network(content["description"])
        count = sum(parameter.numel() for parameter in network.parameters())
        if content["description"]["parameters"] != count:
            raise ValueError(f"parameters: {content['description']['parameters']}, the network has {count}")
        check_tensors(content.get("state"), network.state_dict())
    except (InputError, ValueError, RuntimeError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(path, f"holds weights that contradict their description ({reason})", remedy) from None
    return content


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
