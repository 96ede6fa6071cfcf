"""The file that holds how many connected components of each class are kept, as chosen on validation cases.

See `base.run_files` for where it lies.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from base.json_files import check_shape, read_json, write_json


def _check_count(value) -> None:
    check_shape(value, int)
    if value < 0:
        raise ValueError(f"{value} is not a number of components")


_SHAPE = {
    "kept": {str: _check_count},
    "weights": {str: str},
    "clip_to": (None, str),
    "cases": {str: {str: str}},
    "dice": {str: {str: float}},
}


@dataclass(frozen=True)
class ComponentChoice:
    """How many connected components of each class are kept.

    Attributes:
        kept: number of largest components by name of the class; 0 keeps all.
        weights: SHA-256 of the weights of each network whose predictions it was chosen for, by experiment.
        clip_to: name of the run that these predictions were clipped to, or None.
        cases: SHA-256 of the content of the validation cases that it was chosen on, by name.
        dice: mean Dice over these cases, by class and number of components.
    """

    kept: Mapping[str, int]
    weights: Mapping[str, str]
    clip_to: str | None
    cases: Mapping[str, Mapping[str, str]]
    dice: Mapping[str, Mapping[str, float]]

    @classmethod
    def read(cls, path: Path) -> "ComponentChoice | None":
        """Read the file at `path`; None if there is none.

        Raises:
            InputError: it is damaged.
        """
        try:
            value = read_json(path, _SHAPE, "remove it, and choose again with -e val --keep-largest auto")
        except FileNotFoundError:
            return None
        return cls(**{name: value[name] for name in _SHAPE})

    def write(self, path: Path) -> None:
        """Write the file at `path`."""
        write_json(path, asdict(self))

    def suits(self, weights: Mapping[str, str], clip_to: str | None, classes: tuple[str, ...]) -> bool:
        """Tell whether it was chosen for predictions of these networks, foreground `classes` and clipping."""
        own = (dict(self.weights), self.clip_to, set(self.kept))
        return own == (dict(weights), clip_to, set(classes))
