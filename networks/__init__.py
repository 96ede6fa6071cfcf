"""The architectures: a registry that maps names to configurations. PyTorch is imported when a network is built."""

from dataclasses import dataclass
from importlib import import_module

from base.errors import InputError


@dataclass(frozen=True)
class Architecture:
    """What the command line must know of an architecture before it is built.

    Attributes:
        module, builder: where its class is.
        dimensions: 2 or 3.
        receptive_fields: those that it can have, in voxels.
        pads: whether it pads, and so reads no more than it classifies.
    """

    name: str
    module: str
    builder: str
    dimensions: int
    receptive_fields: tuple[int, ...]
    pads: bool

    def input_size(self, sample_size: int, receptive_field: int) -> int:
        """Side of the area that must be read to classify an area of side `sample_size`."""
        return sample_size if self.pads else sample_size + receptive_field - 1

    def check_receptive_field(self, receptive_field: int) -> None:
        """Raise InputError for a receptive field that the architecture cannot have."""
        if receptive_field not in self.receptive_fields:
            possible = ", ".join(str(size) for size in self.receptive_fields)
            raise InputError(
                "--receptive-field-size", f"{self.name} cannot have {receptive_field}", f"it can have {possible}"
            )

    def build(self, receptive_field: int, number_of_classes: int):
        """Build the network, a `torch.nn.Module` from (n, 1, ...) to logits (n, classes, ...)."""
        network_class = getattr(import_module(self.module), self.builder)
        return network_class(self.dimensions, receptive_field, number_of_classes)


_ALL = (Architecture("dil2D", "networks.dilated", "DilatedNetwork", 2, (19, 35, 67, 131), pads=False),)

ARCHITECTURES = {architecture.name.lower(): architecture for architecture in _ALL}


def find_architecture(name: str) -> Architecture:
    """The architecture of that name, without regard to case.

    Raises:
        InputError: there is none.
    """
    if name.lower() not in ARCHITECTURES:
        known = ", ".join(architecture.name for architecture in _ALL)
        raise InputError("--network", f"{name!r} is unknown", f"choose from {known}")
    return ARCHITECTURES[name.lower()]
