"""The file that holds how estimates of the Dice become predictions of it, as calibrated on validation cases.

See `base.run_files` for where it lies.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from base.component_choice import of_all_classes
from base.errors import InputError
from base.json_files import check_shape, read_json, write_json

_REMEDY = "remove it, and predict the validation cases again (-e val)"
ESTIMATORS = ("agreement", "expected_dice")


def _check_estimator(value) -> None:
    check_shape(value, str)
    if value not in ESTIMATORS:
        raise ValueError(f"{value} is not one of {', '.join(ESTIMATORS)}")


_SHAPE = {
    "estimator": _check_estimator,
    "lines": {str: {"intercept": float, "slope": float, "margin": (None, float), "patients": int}},
    "weights": {str: str},
    "clip_to": (None, str),
    "cases": {str: {str: str}},
    "views?": (None, int),
    "keep_largest?": (None, int, {str: int}),
}


@dataclass(frozen=True)
class DiceLine:
    """A straight line from estimates of the Dice to predictions, and the margin of a lower bound.

    Attributes:
        intercept, slope: of the line.
        margin: the bound is the estimate less this margin; None if there are too few patients for a bound.
        patients: number of validation patients that both come from.
    """

    intercept: float
    slope: float
    margin: float | None
    patients: int

    def predict(self, estimate: float) -> float:
        """Return the predicted Dice, 0 to 1."""
        return min(1.0, max(0.0, self.intercept + self.slope * estimate))

    def bound(self, estimate: float) -> float | None:
        """Return the lower bound of the Dice, 0 to 1 and at most the prediction; None if there is none."""
        if self.margin is None:
            return None
        return min(self.predict(estimate), max(0.0, estimate - self.margin))


@dataclass(frozen=True)
class DiceCalibration:
    """Calibration of the Dice that networks are expected to reach on cases without a reference.

    Attributes:
        estimator: what the lines begin with, one of `ESTIMATORS`.
        lines: by name of the class, or union of classes, or ``mean`` of several classes.
        weights: SHA-256 of the weights of each network whose predictions it holds for, by experiment.
        clip_to: name of the run that these predictions were clipped to, or None.
        cases: SHA-256 of the content of the validation cases that it was calibrated on, by name.
        views: number of mirrored views of these predictions; None where an earlier version did not record it.
        keep_largest: number of components that they kept, of every class or of each by its name; None as `views`.
    """

    estimator: str
    lines: Mapping[str, DiceLine]
    weights: Mapping[str, str]
    clip_to: str | None
    cases: Mapping[str, Mapping[str, str]]
    views: int | None = None
    keep_largest: int | Mapping[str, int] | None = None

    @classmethod
    def read(cls, path: Path) -> "DiceCalibration | None":
        """Read the file at `path`; None if there is none.

        Raises:
            InputError: it is damaged.
        """
        try:
            value = read_json(path, {str: object}, _REMEDY)
            return cls.from_json(value)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise InputError(path, f"is damaged ({error})", _REMEDY) from None

    @classmethod
    def from_json(cls, value) -> "DiceCalibration":
        """Read what `to_json` gives; raise ValueError for anything else."""
        check_shape(value, _SHAPE)
        known = {one.name: value.get(one.name) for one in fields(cls)}
        names = ("intercept", "slope", "margin", "patients")
        lines = {name: DiceLine(*(line[key] for key in names)) for name, line in value["lines"].items()}
        return cls(**{**known, "lines": lines})

    def write(self, path: Path) -> None:
        """Write the file at `path`."""
        write_json(path, self.to_json())

    def to_json(self) -> dict:
        """Return the calibration as plain values."""
        return asdict(self)

    def suits(self, weights: Mapping[str, str]) -> bool:
        """Tell whether it holds for predictions of these networks."""
        return dict(self.weights) == dict(weights)

    def note_with(self, clip_to: str | None, views: int, keep_largest: int | Mapping[str, int]) -> str | None:
        """Return why there is no predicted Dice with these options, for the user; None if it holds with them.

        Args:
            clip_to: name of the run that predictions are clipped to, or None.
            views: number of mirrored views.
            keep_largest: number of components that are kept.
        """
        if self.clip_to != clip_to:
            clipped = f"clipped to {self.clip_to}" if self.clip_to else "that are not clipped"
            return f"note: the predicted Dice was calibrated for predictions {clipped}, so there is none"
        if self.views != views or of_all_classes(self.keep_largest) != of_all_classes(keep_largest):
            return "note: the predicted Dice was calibrated with other --views or components, so there is none"
        return None
