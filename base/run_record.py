"""The record of a run, `predictions.json`: what predicted the cases of a split, and how they are measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from base.component_choice import of_all_classes
from base.errors import InputError
from base.json_files import read_json, write_json
from base.label_classes import LabelClasses, check_classes
from base.run_files import RECORD

_SHAPE = {  # earlier versions did not record all of it
    "weights?": {str: str},
    "classes?": check_classes,
    "networks?": {str: {"parameters": int, "is_student": bool}},
    "regions?": [str],
    "tolerance_mm?": float,
    "surface_dice?": str,
    "cases?": {str: {str: str}},
    "clips?": {str: str},
    "patients?": {str: str},
}
_NOT_OF_THE_RUN = ("networks", "cases", "patients", "clips")  # may change from one call to the next


@dataclass(frozen=True)
class NetworkSummary:
    """Facts about a network that predicted: number of parameters, and whether it is a student."""

    parameters: int
    is_student: bool


@dataclass(frozen=True)
class PredictionSettings:
    """Options that change predictions.

    Attributes:
        clip_to: name of the run to whose foreground predictions are clipped, or None.
        overlap: share of a sliding window's side that the next window covers, too.
        memory_limit: limit of the activations of one pass, in GB.
        keep_largest: number of connected components that are kept, of every class or of each by its name; 0 keeps all.
        precision: ``fp32`` or ``bf16``.
        views: number of mirrored views that were averaged; None for one.
    """

    clip_to: str | None
    overlap: float
    memory_limit: float
    keep_largest: int | Mapping[str, int]
    precision: str
    views: int | None = None


@dataclass(frozen=True)
class EnsembleSettings:
    """Settings by which members become an ensemble.

    Attributes:
        member_weights: weight of each member in the mean, by experiment.
        cross_fit: whether each case is predicted by the members that were not trained on it.
        clip: whether foreground is clipped to the reference's foreground.
    """

    member_weights: Mapping[str, float]
    cross_fit: bool
    clip: bool


@dataclass(frozen=True)
class RunRecord:
    """Record of a run: the networks, the measurement, and the content of the cases.

    None stands for what an earlier version did not record.

    Attributes:
        weights: SHA-256 of the weights of each network, by experiment.
        classes: of the networks.
        settings: options that changed the predictions.
        ensemble: None for a single network.
        regions: names of the measured classes and unions of classes.
        tolerance_mm: tolerance of the surface Dice in mm.
        surface_dice: definition of the surface Dice.
        networks: facts about each network, by experiment.
        cases: SHA-256 of the content of each case (see `data.cases.Case.content`), by name.
        patients: patient of each case, by name.
        clips: SHA-256 of the prediction that each case is clipped to, by name; empty without clipping.
        unknown: keys that this version does not know, with their values.
    """

    weights: Mapping[str, str] | None
    classes: LabelClasses | None
    settings: PredictionSettings | None
    ensemble: EnsembleSettings | None
    regions: tuple[str, ...] | None
    tolerance_mm: float | None
    networks: Mapping[str, NetworkSummary] | None
    cases: Mapping[str, dict[str, str]] | None
    patients: Mapping[str, str] | None = None
    clips: Mapping[str, str] = field(default_factory=dict)
    surface_dice: str | None = None
    unknown: Mapping[str, object] = field(default_factory=dict)

    @property
    def clip_to(self) -> str | None:
        """Name of the run that predictions are clipped to, or None."""
        return self.settings.clip_to if self.settings else None

    @classmethod
    def read(cls, folder: Path) -> "RunRecord | None":
        """Read the record in the folder of a run; None if it is missing or damaged."""
        try:
            value = read_json(folder / RECORD, _SHAPE, "")
        except (FileNotFoundError, InputError):
            return None
        return cls._from_json(value) if value else None

    def write(self, folder: Path) -> None:
        """Write the record into the folder of a run."""
        write_json(folder / RECORD, self._to_json())

    def differences(self, earlier: "RunRecord") -> list[tuple[str, object, object]]:
        """Return (key, earlier value, own value) of all that must not differ between two calls of one run."""
        own, before = (
            {key: value for key, value in record._to_json().items() if key not in _NOT_OF_THE_RUN}
            for record in (self, earlier)
        )
        if earlier.surface_dice is None:  # earlier versions recorded none
            before["surface_dice"] = own.get("surface_dice")
        for values in (own, before):
            values["keep_largest"] = of_all_classes(values.get("keep_largest"))
        keys = {**own, **before}
        return [(key, before.get(key), own.get(key)) for key in keys if before.get(key) != own.get(key)]

    def _to_json(self) -> dict:
        ensemble = asdict(self.ensemble) if self.ensemble else {}
        clip = {"clip": ensemble.pop("clip")} if ensemble else {}
        known = {
            "weights": self.weights,
            **ensemble,
            "classes": self.classes and self.classes.to_json(),
            **clip,
            **(asdict(self.settings) if self.settings else {}),
            "regions": None if self.regions is None else list(self.regions),
            "tolerance_mm": self.tolerance_mm,
            "surface_dice": self.surface_dice,
            "networks": self.networks and {name: asdict(network) for name, network in self.networks.items()},
            "cases": self.cases,
            "patients": self.patients,
            "clips": self.clips or None,
            **self.unknown,
        }
        return {key: value for key, value in known.items() if value is not None or key == "clip_to"}

    @classmethod
    def _from_json(cls, value: dict) -> "RunRecord":
        value = dict(value)
        settings = PredictionSettings(**{one.name: value.pop(one.name, None) for one in fields(PredictionSettings)})
        ensemble = None
        if value.get("member_weights") is not None:
            ensemble = EnsembleSettings(**{one.name: value.pop(one.name, None) for one in fields(EnsembleSettings)})
        networks, classes = value.pop("networks", None), value.pop("classes", None)
        regions = value.pop("regions", None)
        names = ("weights", "tolerance_mm", "surface_dice", "cases", "patients")
        return cls(
            **{name: value.pop(name, None) for name in names},
            classes=classes and LabelClasses.from_json(classes),
            settings=settings,
            ensemble=ensemble,
            regions=None if regions is None else tuple(regions),
            networks=networks
            and {name: NetworkSummary(one["parameters"], one["is_student"]) for name, one in networks.items()},
            clips=value.pop("clips", {}),
            unknown=value,
        )
