"""Settings that a plan proposes, and the reason for each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from networks import Architecture

VIEWS = 4  # of an ensemble whose members were trained on mirrored patches


@dataclass(frozen=True)
class Choice:
    """A proposal: what, its value, the reason, and the figure that it rests on."""

    what: str
    value: str
    reason: str
    figure: str


@dataclass(frozen=True)
class PlannedNetwork:
    """A kind of network, as options of training_network.py; None leaves the architecture's default."""

    architecture: Architecture
    receptive_field: int | None
    sample_size: int
    batch_size: int
    iterations: int
    features: int | None = None
    deep_supervision: bool = False

    @property
    def name(self) -> str:
        return self.architecture.name

    @property
    def voxels_a_step(self) -> int:
        """Number of voxels that the network reads in a training step."""
        return self.batch_size * voxels_of_patch(self.architecture, self.receptive_field, self.sample_size)


@dataclass(frozen=True)
class Settings:
    """The settings that a plan proposes.

    Attributes:
        classes: as on the command line, such as ``0,1,2``.
        voxel_size: as on the command line: x, y, z in mm, or ``none``.
        planes: of 2D networks.
        losses: of the members of each kind.
        normalization: as on the command line.
        flip: whether patches are mirrored, and the ensemble sees mirrored views.
        split: case names by split.
        choices: all proposals, in order.
    """

    classes: str
    ignore_label: int | None
    voxel_size: tuple[str, str, str]
    planes: str
    networks: tuple[PlannedNetwork, ...]
    losses: tuple[str, ...]
    normalization: str
    flip: bool
    split: dict[str, list[str]]
    choices: tuple[Choice, ...]

    @property
    def views(self) -> int:
        """Number of mirrored views of the ensemble."""
        return VIEWS if self.flip else 1

    def changed(self, networks: Sequence[PlannedNetwork], choices: Sequence[Choice]) -> "Settings":
        """Return the same settings with other networks, and the choices that are changed by them."""
        new = {choice.what: choice for choice in choices}
        together = tuple(new.get(choice.what, choice) for choice in self.choices)
        return replace(self, networks=tuple(networks), choices=together)


def voxels_of_patch(architecture: Architecture, receptive_field: int | None, sample_size: int) -> int:
    """Return the number of voxels that a network reads to classify an area of side `sample_size`."""
    field = architecture.receptive_field if receptive_field is None else receptive_field
    return architecture.input_size(sample_size, field) ** architecture.dimensions
