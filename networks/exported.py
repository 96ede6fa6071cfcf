"""Exported networks: one ONNX file with all that prediction needs, as a JSON document in its metadata.

The document has a format and a version, the description of the weights (`networks.description`), and what the graph
asks of images. Nothing here imports PyTorch or ONNX.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from base.component_choice import ComponentChoice
from base.dice_calibration import DiceCalibration
from base.errors import InputError
from base.json_files import check_shape, parse_json
from networks.description import NetworkDescription
from networks.onnx_files import OnnxModel, check_model, with_metadata
from networks.validation_findings import ValidationFindings

KEY = "ensemble-distillation"
VERSION = 2
_FORMAT = "ensemble-distillation network"
_LARGEST_BYTES = 2**31  # of a file
_REMEDY = "name an intact file of export_network.py"


def _check_count(value) -> None:
    check_shape(value, int)
    if not 0 <= value <= 2**16:
        raise ValueError(f"{value} is no number of voxels or components")


def _check_positive(value) -> None:
    check_shape(value, float)
    if not 0 < value < 1e9:
        raise ValueError(f"{value} is no number of bytes")


def _check_trust(value) -> None:
    DiceCalibration.from_json(value)


_SHAPE = {
    "format": str,
    "version": int,
    "network": {str: object},
    "images": {"multiple": _check_count, "margin": _check_count, "activation_bytes_per_voxel": _check_positive},
    "keep_largest": (
        None,
        {"kept": {str: _check_count}, "clip_to": (None, str), "clip?": (None, bool), "views?": (None, int)},
    ),
    "trust?": (None, _check_trust),
    "precision": str,
    "graph_sha256": str,
    "weights_sha256": str,
}
_NAMING_CASES = ("cases", "clips")  # keys of a record of soft labels
_OF_THE_CHOICE = ("kept", "clip_to", "clip", "views")  # of components; it was made for the weights of the file


@dataclass(frozen=True)
class ImageNeeds:
    """What the graph asks of images.

    Attributes:
        multiple: that their sides must be, at least twice it; 1 for any sides.
        margin: voxels that the graph answers beyond each end of an axis, as if the outermost voxels of the image went
            on; 0 if it pads.
        activation_bytes_per_voxel: memory of one pass, per voxel of the input.
    """

    multiple: int
    margin: int
    activation_bytes_per_voxel: float


@dataclass(frozen=True)
class ExportedNetwork:
    """An exported network.

    Attributes:
        path: of the file.
        content: its bytes.
        sha256: of the content.
        description: of the weights; without names of cases and patients.
        needs: of images.
        findings: on validation cases.
        document: everything that the metadata says (plain values).
    """

    path: Path
    content: bytes
    sha256: str
    description: NetworkDescription
    needs: ImageNeeds
    findings: ValidationFindings
    document: Mapping


def document_of(
    description: NetworkDescription,
    needs: ImageNeeds,
    findings: ValidationFindings,
    weights_sha256: str,
    more: Mapping,
) -> dict:
    """Return the document of a network (plain values), for `pack`.

    Names of cases and patients stay behind: a network that leaves the place where it was trained must not carry them.

    Args:
        weights_sha256: of the file that the network was exported from.
        more: what else is to be said (plain values); readers ignore it.
    """
    cases, soft_labels = len(description.training_cases), description.soft_labels
    nameless = replace(
        description,
        training_cases=[],
        training_patients=[],
        validation_cases=None,
        initial_cases=None,
        initial_patients=None,
        soft_labels=soft_labels and {key: value for key, value in soft_labels.items() if key not in _NAMING_CASES},
    )
    components, calibration = findings.components, findings.calibration
    return {
        "format": _FORMAT,
        "version": VERSION,
        **more,
        "network": nameless.to_json(),
        "number_of_training_cases": cases,
        "images": vars(needs),
        "keep_largest": components and {key: vars(components)[key] for key in _OF_THE_CHOICE},
        "trust": calibration and replace(calibration, cases={}).to_json(),
        "weights_sha256": weights_sha256,
    }


def pack(model: bytes, document: Mapping) -> bytes:
    """Return the bytes of a model with its document, to which the checksum of the graph is added."""
    document = {**document, "graph_sha256": check_model(model).graph_sha256}
    return with_metadata(model, {KEY: json.dumps(document)})


def read_exported(path: Path) -> ExportedNetwork:
    """Read an exported network, and check everything before any engine reads it.

    Raises:
        InputError: the file is missing, damaged, malicious or of another kind.
    """
    try:
        size = path.stat().st_size
        if not path.is_file() or size > _LARGEST_BYTES:
            raise InputError(path, "is not a regular file, or too large for a network", _REMEDY)
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(path, "there is no such file", "check the path") from None
    return unpack(path, content)


def unpack(path: Path, content: bytes) -> ExportedNetwork:
    """Check the bytes of an exported network; see `read_exported`."""
    try:
        model = check_model(content)
    except (ValueError, RecursionError, TypeError, AttributeError) as error:
        raise InputError(path, f"is no exported network, or damaged ({_reason(error)})", _REMEDY) from None
    if KEY not in model.metadata:
        raise InputError(path, "is an ONNX file without the description of a network of this program", _REMEDY)
    try:
        document = parse_json(model.metadata[KEY])
        check_shape(document, {"format": str, "version": int})
        if document["format"] != _FORMAT:
            raise ValueError(f"format {document['format'][:40]!r}")
        if document["version"] != VERSION:
            problem = f"was exported in version {document['version']} of the format, and this is {VERSION}"
            is_older = document["version"] < VERSION
            remedy = "export the network again" if is_older else "use the version of this program that exported it"
            raise InputError(path, problem, remedy)
        return _checked(path, content, model, document)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        problem = f"has a damaged or contradictory description ({_reason(error)})"
        raise InputError(path, problem, _REMEDY) from None
    except InputError as error:
        if error.subject == path:
            raise
        raise InputError(path, f"has a damaged or contradictory description ({_reason(error)})", _REMEDY) from None


def _checked(path: Path, content: bytes, model: OnnxModel, document: Mapping) -> ExportedNetwork:
    """Return the network of a document that fits its model; raise ValueError if it does not."""
    check_shape(document, _SHAPE)
    if document["graph_sha256"] != model.graph_sha256:
        raise ValueError("the checksum of its graph is wrong")
    description = NetworkDescription.from_json(document["network"])
    images = document["images"]
    needs = ImageNeeds(images["multiple"], images["margin"], float(images["activation_bytes_per_voxel"]))
    margin = 0 if description.pads else description.receptive_field // 2
    if needs.margin != margin or needs.multiple < 1 or (needs.multiple > 1 and not description.pads):
        raise ValueError("images: they do not fit the network")
    free = (None,) * description.dimensions
    wanted = {
        "images": ((None, len(description.channels), *free), model.input_sides),
        "probabilities": ((None, description.number_of_outputs, *free), model.output_sides),
    }
    for name, (sides, (own_name, own_sides)) in wanted.items():
        if own_name != name or len(own_sides) != len(sides):
            raise ValueError(f"{own_name[:40]!r}: expected {name} of {len(sides)} sides")
        for number, (expected, found) in enumerate(zip(sides, own_sides)):
            if found != expected:
                shown = "any length" if expected is None else expected
                raise ValueError(f"{name}: its side {number} is {found}, not {shown}")
    choice = document["keep_largest"]
    components = None
    if choice:
        known = {key: choice[key] for key in _OF_THE_CHOICE if key in choice}
        components = ComponentChoice(**known, weights={}, cases={}, dice={})
    calibration = DiceCalibration.from_json(document["trust"]) if document.get("trust") else None
    findings = ValidationFindings(components, calibration)
    sha256 = hashlib.sha256(content).hexdigest()
    return ExportedNetwork(path, content, sha256, description, needs, findings, document)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
