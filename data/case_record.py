"""The record that stage 1 writes for each case (`resampling.json`), and its validation when it is read."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from base.channels import UNNAMED, check_channel
from base.errors import InputError
from base.json_files import check_shape, read_json, write_json
from base.label_classes import IGNORED, MARKED_IN
from base.names import check_name
from data.case_folder import RECORD, image_kind


def _check_scribbles(value) -> None:
    if value not in MARKED_IN:
        raise ValueError(f"{value!r} is none of {', '.join(MARKED_IN)}")


_SUMS = {"image": str, "reference?": str}
_SHAPE = {
    "options": {"voxel_size_mm": (None, [(None, float)] * 3), "ignore_label?": int, "scribbles?": _check_scribbles},
    "original": {"size": [int] * 3, "spacing": [float] * 3, "origin": [float] * 3, "direction": [float] * 9},
    "resampled": {"size": [int] * 3, "spacing": [float] * 3, "origin": [float] * 3, "direction": [float] * 9},
    "labels": (None, {str: int}),
    "ignored_voxels?": int,
    "sha256": _SUMS,
    "original_sha256?": _SUMS,
    "patient?": str,
    "channels?": [check_channel],
    "source?": {str: (None, {str: object})},
    "placed?": {str: (None, {"link": (None, str), "bytes": int, "modified_ns": int})},
}
# What is left of a withdrawn record, because nothing else tells it: the patient, what was said of the reference, the
# order of the channels, and which files stage 1 placed, beside which the user's own count as corrections.
_WITHDRAWN = {key: _SHAPE[key] for key in ("patient?", "channels?", "placed?")} | {"options?": _SHAPE["options"]}
_KEPT = tuple(key.removesuffix("?") for key in _WITHDRAWN)
_LONGEST_AXIS = 2**15  # voxels


def check_fingerprints(value) -> None:
    """Raise ValueError unless `value` maps case names to the checksums (`sha256`) of their resampled files."""
    check_shape(value, {str: _SUMS})
    for name in value:
        check_name(name)


def read_case_record(folder: Path, remedy: str) -> dict:
    """Read and validate the record of the case in `folder`.

    Raises:
        FileNotFoundError: there is no record, or it was withdrawn.
        InputError: the record is damaged; the message contains `remedy`.
    """
    record = read_json(folder / RECORD, _check_record, remedy)
    if is_withdrawn(record):
        raise FileNotFoundError(folder / RECORD)
    return record


def earlier_record(folder: Path) -> dict | None:
    """Return the earlier record of stage 1, or what is left of it; empty if it is damaged, None if there is none."""
    try:
        return read_json(folder / RECORD, _check_record, "")
    except FileNotFoundError:
        return None
    except InputError:
        return {}


def is_withdrawn(record: Mapping) -> bool:
    """Tell whether a record is what is left of one that was withdrawn."""
    return bool(record) and record.keys() <= set(_KEPT)


def withdraw(folder: Path) -> None:
    """Remove the record of a case, so that later stages do not use what it describes.

    What only the record tells is kept in its place, for when the case is resampled later.
    """
    kept = {key: value for key, value in (earlier_record(folder) or {}).items() if key in _KEPT}
    if kept:
        with contextlib.suppress(InputError, OSError):  # such as a full disk
            write_json(folder / RECORD, kept)
            return
    (folder / RECORD).unlink(missing_ok=True)


def _check_record(value) -> None:
    if isinstance(value, dict) and is_withdrawn(value):
        check_shape(value, _WITHDRAWN)
    else:
        check_case_record(value)


def check_case_record(value) -> None:
    """Raise ValueError unless `value` is a valid record of a case."""
    check_shape(value, _SHAPE)
    for name in ("original", "resampled"):
        grid = value[name]
        if not all(0 < n <= _LONGEST_AXIS for n in grid["size"]) or min(grid["spacing"]) <= 0 or len(grid) > 4:
            raise ValueError(f"{name}: it is not a valid grid")
        if not 1e-6 < abs(np.linalg.det(np.reshape(grid["direction"], (3, 3)))) < 1e6:
            raise ValueError(f"{name}: its direction matrix is singular")
    labels = value["labels"]
    if labels is not None and not all(name.isascii() and name.isdecimal() and int(name) < IGNORED for name in labels):
        raise ValueError(f"labels: they are not integers from 0 to {IGNORED - 1}")
    channels = value.get("channels", [UNNAMED])
    if not channels or len(set(channels)) < len(channels):
        raise ValueError("channels: they are not names that differ")
    kinds = {image_kind(channel) for channel in channels}
    sums = [value["sha256"], value.get("original_sha256", value["sha256"])]
    if not all(kinds <= some.keys() for some in sums):
        raise ValueError("sha256: a channel is missing")
    if labels is not None and not all("reference" in some for some in sums):
        raise ValueError("sha256: reference is missing")
