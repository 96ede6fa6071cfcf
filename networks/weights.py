"""Weights on disk: files that describe themselves, read without executing code from them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from base.errors import InputError
from base.label_classes import LabelClasses
from networks.description import NetworkDescription
from networks.torch_files import check_tensors, read_torch_file, write_torch_file

_FORMAT = "ensemble-distillation weights 2"


@dataclass(frozen=True)
class TrainedNetwork:
    """Weights on disk: path, description and SHA-256 of the file. The weights are read when the network is built."""

    path: Path
    description: NetworkDescription
    sha256: str

    @property
    def experiment(self) -> str:
        """Name of the experiment."""
        return self.description.experiment

    def check(self, option: str, given, stored) -> None:
        """Raise InputError where a `given` value of an option (not None) contradicts the `stored` one."""
        if given is not None and given != stored:
            raise InputError(option, f"{given} contradicts {self.path}, which says {stored}", f"leave {option} out")

    def check_classes(self, given: LabelClasses | None) -> None:
        """Raise InputError where `given` classes are not named as those of the weights."""
        stored = self.description.classes
        if given is not None and given.names != stored.names:
            raise InputError("--classes", f"{given} contradicts {self.path}, which says {stored}", "give the same")

    def build(self) -> torch.nn.Module:
        """Return the network with its weights, in evaluation mode."""
        network = self.description.build()
        network.load_state_dict(_read_weights(self.path)[1])
        return network.eval()


def save_weights(path: Path, network: torch.nn.Module, description: NetworkDescription) -> None:
    """Write the weights of `network` with their `description`, whole or not at all."""
    write_torch_file(path, {"format": _FORMAT, "description": description.to_json(), "state": network.state_dict()})


def load_weights(path: Path) -> TrainedNetwork:
    """Read the description of weights that `save_weights` wrote.

    Raises:
        InputError: the file is missing, damaged, of another kind, or contradicts itself.
    """
    return TrainedNetwork(path, _read_weights(path)[0], file_sha256(path))


def _read_weights(path: Path) -> tuple[NetworkDescription, dict[str, torch.Tensor]]:
    remedy = "name an intact FINAL_*.pth file of training_network.py"
    content = read_torch_file(path, remedy)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise InputError(path, "holds no weights of this program", remedy)
    try:
        description = NetworkDescription.from_json(content.get("description"))
        with torch.device("meta"):  # takes no memory, whatever the description asks for
            network = description.build()
        count = sum(parameter.numel() for parameter in network.parameters())
        if description.parameters != count:
            raise ValueError(f"parameters: {description.parameters}, the network has {count}")
        check_tensors(content.get("state"), network.state_dict())
    except (InputError, ValueError, RuntimeError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(path, f"holds weights that contradict their description ({reason})", remedy) from None
    return description, content["state"]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
