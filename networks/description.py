"""What weights say of themselves, and what is expected of a description that is read from a file."""

from base.json_files import check_shape
from base.label_classes import check_classes
from base.names import check_run_name
from networks import find_architecture

_PAIR = [float, float]
_KINDS = ("ct", "zscore", "none")
_CASES = [str]
_INTENSITIES = {
    "percentiles": _PAIR,
    "kind": str,
    "low": _PAIR,
    "high": _PAIR,
    "spread": _PAIR,
    "median_spread": float,
    "foreground": (None, [float, float, float]),
}
_PATIENTS = [str]  # earlier versions did not record them


def _check_voxel_side(value) -> None:
    """Raise ValueError where `value` is no side of a voxel in mm."""
    check_shape(value, float)
    if not 0 < value <= _LARGEST_VOXEL_MM:
        raise ValueError(f"{value:g} mm is no side of a voxel")


_SHAPE = {
    "experiment": check_run_name,
    "architecture": str,
    "receptive_field": int,
    "features?": int,
    "dropout?": float,
    "deep_supervision?": bool,
    "predicts_uncertainty": bool,
    "initial_weights?": (None, {str: str}),
    "initial_cases?": _CASES,
    "initial_patients?": _PATIENTS,
    "sample_size": int,
    "planes": [int],
    "classes": check_classes,
    "normalization": {"kind": str, "window": _PAIR, "mean": float, "deviation": float},
    "intensities?": _INTENSITIES,
    "voxel_size_mm": (None, [_check_voxel_side] * 3),
    "training_cases": _CASES,
    "training_patients?": _PATIENTS,
    "soft_labels": (None, {"temperature": float}),
    "parameters": int,
    "validation_dice": [float],
}
_LARGEST_VOXEL_MM = 1e3
_LARGEST_SIDES = {2: 2048, 3: 320}  # of a patch, in voxels


def check_description(value) -> None:
    """Raise ValueError where `value` is no description of a network that this program trains."""
    check_shape(value, _SHAPE)
    architecture = find_architecture(value["architecture"])
    architecture.check_receptive_field(value["receptive_field"])
    options = {key: value[key] for key in ("features", "dropout", "deep_supervision") if key in value}
    architecture.options(**options)
    if not 1 <= value["sample_size"] <= _LARGEST_SIDES[architecture.dimensions]:
        raise ValueError(f"sample_size: {value['sample_size']} voxels")
    planes = set(value["planes"])
    if not planes <= {0, 1, 2} or (architecture.dimensions == 2 and not planes):
        raise ValueError("planes: a network of slices needs some of 0, 1 and 2")
    normalization = value["normalization"]
    if normalization["kind"] not in _KINDS or normalization["deviation"] <= 0:
        raise ValueError("normalization: it is none")
    if value.get("intensities", normalization)["kind"] not in _KINDS:
        raise ValueError("intensities: they are of no normalization")
    dices = value["validation_dice"]
    if len(dices) != len(value["classes"]["names"]) - 1 or not all(0 <= dice <= 1 for dice in dices):
        raise ValueError("validation_dice: it is not one of each foreground class, from 0 to 1")
    if len(normalization) > 4:
        raise ValueError("normalization: it has more than is known")
