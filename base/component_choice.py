"""The file that holds how many connected components of each class are kept, as chosen on validation cases.

See `base.run_files` for where it lies.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
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
    "clip?": (None, bool),
    "views?": (None, int),
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
        clip: whether these predictions were clipped to references; None where an earlier version did not record it.
        views: number of mirrored views of these predictions; None as `clip`.
    """

    kept: Mapping[str, int]
    weights: Mapping[str, str]
    clip_to: str | None
    cases: Mapping[str, Mapping[str, str]]
    dice: Mapping[str, Mapping[str, float]]
    clip: bool | None = None
    views: int | None = None

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
        return cls(**{one.name: value[one.name] for one in fields(cls) if one.name in value})

    def write(self, path: Path) -> None:
        """Write the file at `path`."""
        write_json(path, asdict(self))

    def suits(self, weights: Mapping[str, str], classes: tuple[str, ...]) -> bool:
        """Tell whether it was chosen for predictions of these networks and foreground `classes`."""
        return (dict(self.weights), set(self.kept)) == (dict(weights), set(classes))

    def holds_with(self, clip_to: str | None, clip: bool, views: int) -> bool:
        """Tell whether it holds for predictions with these options, as far as they are recorded."""
        return self.clip_to == clip_to and self.clip in (None, clip) and self.views in (None, views)

    @property
    def made_for(self) -> str:
        """The predictions that it was chosen for, in words."""
        clipped = f"clipped to {self.clip_to or 'references'}" if self.clip or self.clip_to else "without clipping"
        return f"predictions {clipped}" + (f" and with --views {self.views}" if self.views else "")

    @property
    def not_applied(self) -> str:
        """What a user is told where it does not hold."""
        return f"components were chosen for {self.made_for}: the choice is not applied here"


def of_all_classes(kept: int | Mapping[str, int] | None) -> int | dict[str, int] | None:
    """Return one number of components for all classes where it is the same of each, else that of each by its name."""
    if not isinstance(kept, Mapping):
        return kept
    return next(iter(kept.values())) if len(set(kept.values())) == 1 else dict(kept)
