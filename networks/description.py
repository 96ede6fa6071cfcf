"""The description that weights carry: its fields, its keys on disk, and the check of one that is read from a file."""

from collections.abc import Mapping
from dataclasses import dataclass

from base.channels import UNNAMED, check_channel
from base.intensity_records import IntensityRange, Normalization
from base.json_files import check_shape
from base.label_classes import LabelClasses, check_classes
from base.names import check_run_name
from base.run_record import NetworkSummary
from base.scan_ranges import ScanRange
from networks import Architecture, find_architecture


@dataclass(frozen=True)
class NetworkDescription:
    """Description of trained weights.

    Attributes:
        experiment: name of the experiment, unique in SAVE.
        architecture: name of the architecture, such as ``dil2D``.
        receptive_field: side of the receptive field, in voxels.
        features: width of the network, in channels.
        dropout: share of features left out in training.
        deep_supervision: whether coarser outputs were trained, too.
        predicts_uncertainty: whether the outputs have one channel more than classes.
        sample_size: side of the area or volume that a patch classifies, in voxels.
        planes: array axes (z, y, x) along which slices are taken; empty for networks of volumes.
        classes: classes, and the labels of the reference that each unites.
        channels: names of the images that the network reads, in order; one without a name for scans of one image.
        normalizations: of the intensities of each channel, as decided in training.
        intensities: of the training images, of each channel; None in weights of earlier versions.
        scans: voxel sizes and fields of view of the training scans; None in weights of earlier versions.
        voxel_size_mm: voxel size (x, y, z) of the training cases in mm; None where stage 1 kept each scan's own,
            along an axis or along all.
        training_cases, training_patients: names of the cases trained on, and of their patients.
        soft_labels: record of the soft labels that a student learned from (plain values); None for other networks.
        iterations: training steps.
        seed: of weights, patches and augmentation.
        fold: (fold, number of folds) left out, or None.
        validation_cases: names of the cases validated on.
        data_fingerprint: SHA-256 of all resampled cases.
        options: options of the training (plain values).
        initial_weights: SHA-256 of the weights that training began with, by experiment; None for random ones.
        initial_cases, initial_patients: cases and patients that those weights were trained on.
        parameters: number of trainable parameters; None before the network is built.
        validation_dice: Dice of each foreground class in the last validation, None for one that no case held; None
            before the end of training.
    """

    experiment: str
    architecture: str
    receptive_field: int
    features: int
    dropout: float
    deep_supervision: bool
    predicts_uncertainty: bool
    sample_size: int
    planes: tuple[int, ...]
    classes: LabelClasses
    channels: tuple[str, ...]
    normalizations: tuple[Normalization, ...]
    intensities: tuple[IntensityRange, ...] | None
    voxel_size_mm: list[float | None] | None
    training_cases: list[str]
    training_patients: list[str]
    soft_labels: Mapping | None
    iterations: int | None = None
    seed: int | None = None
    fold: tuple[int, int] | None = None
    validation_cases: list[str] | None = None
    data_fingerprint: str | None = None
    options: Mapping | None = None
    initial_weights: Mapping[str, str] | None = None
    initial_cases: list[str] | None = None
    initial_patients: list[str] | None = None
    parameters: int | None = None
    validation_dice: list[float | None] | None = None
    scans: ScanRange | None = None

    @property
    def _architecture(self) -> Architecture:
        return find_architecture(self.architecture)

    @property
    def dimensions(self) -> int:
        """2 for networks of slices, 3 for networks of volumes."""
        return self._architecture.dimensions

    @property
    def pads(self) -> bool:
        """Whether the network pads its input, and so reads no more than it classifies."""
        return self._architecture.pads

    @property
    def fixed_size(self) -> bool:
        """Whether the network classifies well only at the size that it was trained on."""
        return self._architecture.fixed_size

    @property
    def number_of_classes(self) -> int:
        """Number of classes, background included."""
        return len(self.classes)

    @property
    def number_of_outputs(self) -> int:
        """Number of output channels: classes, and the uncertainty where it is predicted."""
        return self.number_of_classes + self.predicts_uncertainty

    def intensities_of(self, channel: str) -> IntensityRange | None:
        """Return the intensities of the training images of a channel; None if it is not read, or nothing is known."""
        return dict(zip(self.channels, self.intensities or ())).get(channel)

    @property
    def mirrored_axes(self) -> tuple[int, ...]:
        """Axes of (z, y, x) along which the training patches were mirrored."""
        if not (self.options or {}).get("flip"):
            return ()
        in_planes = {axis for plane in self.planes for axis in range(3) if axis != plane}
        return tuple(sorted(in_planes)) if self.dimensions == 2 else (0, 1, 2)

    @property
    def is_student(self) -> bool:
        """Whether the network was trained on soft labels."""
        return self.soft_labels is not None

    @property
    def temperature(self) -> float | None:
        """Temperature of the soft labels; None for a network that is no student."""
        return self.soft_labels["temperature"] if self.soft_labels is not None else None

    @property
    def summary(self) -> NetworkSummary:
        """Facts that a comparison of predictions needs."""
        return NetworkSummary(self.parameters, self.is_student)

    def was_trained_on(self, case_name: str, patient: str) -> bool:
        """Tell whether the network, or the weights it began with, saw a case, or another case of its `patient`.

        Weights of earlier versions record no patients: for those, the name of the case decides.
        """
        cases = {*self.training_cases, *(self.initial_cases or ())}
        patients = {*self.training_patients, *(self.initial_patients or ())}
        return case_name in cases or patient in patients

    def build(self):
        """Build a new network of this description, a `torch.nn.Module` with random weights."""
        return self._architecture.build(
            self.receptive_field,
            self.number_of_outputs,
            self.features,
            self.dropout,
            self.deep_supervision,
            channels=len(self.channels),
        )

    def to_json(self) -> dict:
        """Return the description as plain values, under the keys of files."""
        began = {"initial_cases": self.initial_cases, "initial_patients": self.initial_patients}
        trained = {"parameters": self.parameters, "validation_dice": self.validation_dice}
        return {
            "experiment": self.experiment,
            "architecture": self.architecture,
            "receptive_field": self.receptive_field,
            "features": self.features,
            "dropout": self.dropout,
            "deep_supervision": self.deep_supervision,
            "predicts_uncertainty": self.predicts_uncertainty,
            "initial_weights": self.initial_weights,
            "sample_size": self.sample_size,
            "planes": self.planes,
            "classes": self.classes.to_json(),
            **self._channels_to_json(),
            **({"scans": self.scans.to_json()} if self.scans else {}),
            "voxel_size_mm": self.voxel_size_mm,
            "iterations": self.iterations,
            "seed": self.seed,
            "fold": self.fold,
            "training_cases": self.training_cases,
            "training_patients": self.training_patients,
            "validation_cases": self.validation_cases,
            "data_fingerprint": self.data_fingerprint,
            "soft_labels": self.soft_labels,
            "options": self.options,
            **{key: value for key, value in {**began, **trained}.items() if value is not None},
        }

    def _channels_to_json(self) -> dict:
        """Return lists, one entry a channel; of one channel without a name, the entries themselves."""
        normalizations = [one.to_json() for one in self.normalizations]
        intensities = [one.to_json() for one in self.intensities or ()]
        if self.channels == (UNNAMED,):
            return {"normalization": normalizations[0], **({"intensities": intensities[0]} if intensities else {})}
        return {"channels": list(self.channels), "normalization": normalizations, "intensities": intensities or None}

    @classmethod
    def from_json(cls, value) -> "NetworkDescription":
        """Read what `to_json` gives, of this version or an earlier one.

        Raises:
            ValueError: `value` is no description of a network that this program trains.
            InputError: it is of an architecture, or of options, that there are not.
        """
        channels = _check_channels(value)
        check_shape(value, _SHAPE)
        architecture = find_architecture(value["architecture"])
        architecture.check_receptive_field(value["receptive_field"])
        given = {key: value[key] for key in ("features", "dropout", "deep_supervision") if key in value}
        _check_sizes(value, architecture)
        dices = value["validation_dice"]
        if len(dices) != len(value["classes"]["names"]) - 1 or not all(
            0 <= dice <= 1 for dice in dices if dice is not None
        ):
            raise ValueError("validation_dice: expected one of each foreground class, from 0 to 1")
        known = {key: value[key] for key in _AS_THEY_ARE if key in value}
        return cls(
            **architecture.options(**given),
            **known,
            planes=tuple(value["planes"]),
            classes=LabelClasses.from_json(value["classes"]),
            **channels,
            scans=ScanRange.from_json(value["scans"]) if value.get("scans") else None,
            training_patients=value.get("training_patients", []),
        )


_AS_THEY_ARE = (
    "experiment",
    "architecture",
    "receptive_field",
    "predicts_uncertainty",
    "initial_weights",
    "initial_cases",
    "initial_patients",
    "sample_size",
    "voxel_size_mm",
    "iterations",
    "seed",
    "fold",
    "training_cases",
    "validation_cases",
    "data_fingerprint",
    "soft_labels",
    "options",
    "parameters",
    "validation_dice",
)

_PAIR = [float, float]
_KINDS = ("ct", "zscore", "none")
_LARGEST_VOXEL_MM = 1e3


def _check_voxel_side(value) -> None:
    check_shape(value, float)
    if not 0 < value <= _LARGEST_VOXEL_MM:
        raise ValueError(f"{value:g} mm is no side of a voxel")


_NORMALIZATION = {"kind": str, "window": _PAIR, "mean": float, "deviation": float}
_INTENSITIES = {
    "percentiles": _PAIR,
    "kind": str,
    "low": _PAIR,
    "high": _PAIR,
    "spread": _PAIR,
    "median_spread": float,
    "foreground": (None, [float, float, float]),
}
_SHAPE = {
    "experiment": check_run_name,
    "architecture": str,
    "receptive_field": int,
    "features?": int,
    "dropout?": float,
    "deep_supervision?": bool,
    "predicts_uncertainty": bool,
    "initial_weights?": (None, {str: str}),
    "initial_cases?": [str],
    "initial_patients?": [str],
    "sample_size": int,
    "planes": [int],
    "classes": check_classes,
    "scans?": {"spacing_mm": [_PAIR] * 3, "extent_mm": [_PAIR] * 3},
    "voxel_size_mm": (None, [(None, _check_voxel_side)] * 3),
    "training_cases": [str],
    "training_patients?": [str],
    "soft_labels": (None, {"temperature": float}),
    "options?": (None, {str: object}),
    "parameters": int,
    "validation_dice": [(None, float)],
}


def _check_sizes(value: dict, architecture: Architecture) -> None:
    if not 1 <= value["sample_size"] <= architecture.largest_sample_size:
        raise ValueError(f"sample_size: {value['sample_size']} voxels")
    planes = set(value["planes"])
    if not planes <= {0, 1, 2} or (architecture.dimensions == 2 and not planes):
        raise ValueError("planes: a network of slices needs some of 0, 1 and 2")


def _check_channels(value) -> dict:
    """Return `channels`, `normalizations` and `intensities` of a description."""
    if isinstance(value, dict) and "channels" in value:
        check_shape(value, {"channels": [check_channel], "normalization": [_NORMALIZATION]})
        check_shape(value, {"intensities": (None, [_INTENSITIES])})
        names, normalizations, intensities = (value[key] for key in ("channels", "normalization", "intensities"))
    else:
        check_shape(value, {"normalization": _NORMALIZATION, "intensities?": _INTENSITIES})
        names, normalizations = [UNNAMED], [value["normalization"]]
        intensities = [value["intensities"]] if value.get("intensities") else None
    if not names or len(set(names)) < len(names) or len(normalizations) != len(names):
        raise ValueError("channels: expected names that differ, and a normalization of each")
    if intensities and len(intensities) != len(names):
        raise ValueError("intensities: expected those of each channel")
    for one in normalizations:
        if one["kind"] not in _KINDS or one["deviation"] <= 0:
            raise ValueError("normalization: it is none")
        if len(one) > len(_NORMALIZATION):
            raise ValueError("normalization: it has more than is known")
    if any(one["kind"] not in _KINDS for one in intensities or ()):
        raise ValueError("intensities: they are of no normalization")
    return {
        "channels": tuple(names),
        "normalizations": tuple(map(Normalization.from_json, normalizations)),
        "intensities": tuple(map(IntensityRange.from_json, intensities)) if intensities else None,
    }
