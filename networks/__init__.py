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
        receptive_fields: those that it can have, in voxels; of networks with strides, the most that a voxel sees.
        receptive_field: the one that it has unless told otherwise.
        pads: whether it pads, and so reads no more than it classifies.
        fixed_size: whether it classifies well at the size alone that it was trained on: it normalizes over its input.
        features, dropout: width and dropout that it has unless told otherwise.
        can_be_deeply_supervised: whether it can give logits of coarser levels too, in training.
    """

    name: str
    module: str
    builder: str
    dimensions: int
    receptive_fields: tuple[int, ...]
    receptive_field: int
    pads: bool
    fixed_size: bool
    features: int
    dropout: float
    can_be_deeply_supervised: bool

    def __str__(self) -> str:
        return self.name

    @property
    def sample_size(self) -> int:
        """Side of what a patch classifies unless told otherwise: a network that pads sees nothing beyond it."""
        return {2: 48, 3: 32}[self.dimensions] if self.pads else 16

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

    def options(
        self, features: int | None = None, dropout: float | None = None, deep_supervision: bool = False
    ) -> dict:
        """The options of a network, in full, for its description; the architecture's own where None is given.

        Raises:
            InputError: the architecture cannot have them.
        """
        if features is not None and features < 1:
            raise InputError("--features", f"{features} is too few", "give 1 or more")
        if dropout is not None and not 0 <= dropout < 1:
            raise InputError("--dropout", f"{dropout} is no share to drop", "give 0 or more, but less than 1")
        if deep_supervision and not self.can_be_deeply_supervised:
            able = " or ".join(architecture.name for architecture in _ALL if architecture.can_be_deeply_supervised)
            raise InputError("--deep-supervision", f"{self.name} has no coarser levels", f"leave it out, or use {able}")
        return {
            "features": self.features if features is None else features,
            "dropout": self.dropout if dropout is None else dropout,
            "deep_supervision": deep_supervision,
        }

    def build(
        self,
        receptive_field: int,
        number_of_classes: int,
        features: int | None = None,
        dropout: float | None = None,
        deep_supervision: bool = False,
    ):
        """Build the network, a `torch.nn.Module` from (n, 1, ...) to logits (n, classes, ...).

        Raises:
            InputError: the architecture cannot have that receptive field, or these options.
        """
        self.check_receptive_field(receptive_field)
        options = self.options(features, dropout, deep_supervision)
        if not self.can_be_deeply_supervised:
            del options["deep_supervision"]
        if len(self.receptive_fields) > 1:
            options["receptive_field"] = receptive_field
        network_class = getattr(import_module(self.module), self.builder)
        return network_class(self.dimensions, number_of_classes=number_of_classes, **options)


_FAMILIES = {
    "dil": {
        "module": "networks.dilated",
        "builder": "DilatedNetwork",
        "receptive_fields": (19, 35, 67, 131),
        "receptive_field": 35,
        "pads": False,
        "fixed_size": False,
        "features": 32,
        "dropout": 0.0,
        "can_be_deeply_supervised": False,
    },
    "UNet": {
        "module": "networks.unet",
        "builder": "UNet",
        "receptive_fields": (100,),
        "receptive_field": 100,
        "pads": True,
        "fixed_size": True,
        "features": 16,
        "dropout": 0.0,
        "can_be_deeply_supervised": True,
    },
    "ResNet": {
        "module": "networks.resnet",
        "builder": "ResNet",
        "receptive_fields": (113,),
        "receptive_field": 113,
        "pads": True,
        "fixed_size": False,
        "features": 16,
        "dropout": 0.2,
        "can_be_deeply_supervised": False,
    },
}

_ALL = tuple(
    Architecture(name=f"{family}{dimensions}D", dimensions=dimensions, **what)
    for family, what in _FAMILIES.items()
    for dimensions in (2, 3)
)

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
