"""Registry of the architectures by name. PyTorch is imported only when a network is built."""

from dataclasses import dataclass
from importlib import import_module

from base.errors import InputError


@dataclass(frozen=True)
class Architecture:
    """The properties of an architecture that the command line needs before the network is built.

    Attributes:
        module, builder: module and name of its class.
        dimensions: 2 or 3.
        receptive_fields: possible receptive fields in voxels; for networks with strides, the largest over all voxels.
        receptive_field: default receptive field.
        pads: whether its convolutions are padded, so that input and output have the same size.
        fixed_size: whether it should only be applied to inputs of the training size, because it normalizes over them.
        features, dropout: default width and dropout.
        can_be_deeply_supervised: whether it can return logits of coarser levels in training.
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
        """The default sample size; larger for networks that pad, which see nothing outside the sample."""
        return {2: 48, 3: 32}[self.dimensions] if self.pads else 16

    @property
    def largest_sample_size(self) -> int:
        """The largest sample size that weights may have."""
        return {2: 2048, 3: 320}[self.dimensions]

    def input_size(self, sample_size: int, receptive_field: int) -> int:
        """Return the side of the input that is needed to classify an area of side `sample_size`."""
        return sample_size if self.pads else sample_size + receptive_field - 1

    def check_receptive_field(self, receptive_field: int) -> None:
        """Raise InputError if the architecture cannot have this receptive field."""
        if receptive_field not in self.receptive_fields:
            possible = ", ".join(str(size) for size in self.receptive_fields)
            raise InputError(
                "--receptive-field-size", f"{self.name} cannot have {receptive_field}", f"it can have {possible}"
            )

    def options(
        self, features: int | None = None, dropout: float | None = None, deep_supervision: bool = False
    ) -> dict:
        """Return all options of a network for its description, with the architecture's defaults for None.

        Raises:
            InputError: an option is invalid for the architecture.
        """
        if features is not None and features < 1:
            raise InputError("--features", f"{features} is too few", "give 1 or more")
        if dropout is not None and not 0 <= dropout < 1:
            raise InputError("--dropout", f"{dropout} is not a dropout probability", "give 0 or more, but less than 1")
        if deep_supervision and not self.can_be_deeply_supervised:
            others = " or ".join(architecture.name for architecture in _ALL if architecture.can_be_deeply_supervised)
            problem = f"{self.name} has no coarser levels"
            raise InputError("--deep-supervision", problem, f"leave it out, or use {others}")
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
        channels: int = 1,
    ):
        """Build the network, a `torch.nn.Module` from (n, channels, ...) to logits (n, classes, ...).

        Raises:
            InputError: the receptive field or an option is invalid for the architecture.
        """
        self.check_receptive_field(receptive_field)
        options = self.options(features, dropout, deep_supervision)
        if not self.can_be_deeply_supervised:
            del options["deep_supervision"]
        if len(self.receptive_fields) > 1:
            options["receptive_field"] = receptive_field
        network_class = getattr(import_module(self.module), self.builder)
        return network_class(self.dimensions, number_of_classes=number_of_classes, channels=channels, **options)


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
    Architecture(name=f"{family}{dimensions}D", dimensions=dimensions, **properties)
    for family, properties in _FAMILIES.items()
    for dimensions in (2, 3)
)

ARCHITECTURES = {architecture.name.lower(): architecture for architecture in _ALL}


def find_architecture(name: str) -> Architecture:
    """Return the architecture of this name, ignoring case.

    Raises:
        InputError: there is no such architecture.
    """
    if name.lower() not in ARCHITECTURES:
        known = ", ".join(architecture.name for architecture in _ALL)
        raise InputError("--network", f"{name!r} is unknown", f"choose from {known}")
    return ARCHITECTURES[name.lower()]
