"""Comparison of the results of two runs, bit for bit except for times, memory, versions, commands and folder paths."""

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import nibabel
import numpy as np
import torch

from tests.campaign.folders import check_intact

_MAY_DIFFER = re.compile(r"second|memory|version|modified|^made$")
_MOST_DIFFERENCES = 8  # that are reported


def differences(
    expected: Path, found: Path, parts: Iterable[str] = ("",), ignored: Iterable[str] = (), names: bool = True
) -> list[str]:
    """Return the differences of the files of a work folder from those expected.

    Args:
        parts: folders or files below both that are compared.
        ignored: keys of records that may differ.
        names: also report files that are not expected.
    """
    words = []
    for part in parts:
        one, other = expected / part, found / part
        wanted, there = set(_files(one)), set(_files(other))
        words += [f"{part}/{name} is missing" for name in sorted(wanted - there)]
        if names:
            words += [f"{part}/{name} is not expected" for name in sorted(there - wanted)]
        for name in sorted(wanted & there):
            paths = (one / name, other / name) if name else (one, other)
            try:
                words += [f"{part}/{name}: {word}" for word in _compare(*paths, (expected, found), frozenset(ignored))]
            except Exception as error:  # libraries raise nearly anything about damaged files
                words.append(f"{part}/{name}: cannot be read ({type(error).__name__}: {error})")
    return words[:_MOST_DIFFERENCES]


def _files(root: Path) -> Iterator[str]:
    """Yield the files of a folder, without those of the cache and temporary ones, which are checked otherwise."""
    if root.is_file():
        yield ""
    for path in root.rglob("*") if root.is_dir() else ():
        name = path.relative_to(root)
        if "cache" not in name.parts and "tmp" not in name.parts and (path.is_file() or path.is_symlink()):
            yield str(name)


def _compare(one: Path, other: Path, roots: tuple[Path, Path], ignored: frozenset[str]) -> list[str]:
    if one.name.endswith((".nii.gz", ".nii")):
        return _compare_images(one, other)
    if one.suffix == ".csv":
        return list(_unequal(_rows(one), _rows(other), ignored))
    if one.suffix == ".json":
        texts = [path.read_text(encoding="utf-8").replace(str(root), "WORK") for path, root in zip((one, other), roots)]
        return list(_unequal(json.loads(texts[0]), json.loads(texts[1]), ignored))
    if one.suffix == ".pth":
        contents = [torch.load(path, map_location="cpu", weights_only=True) for path in (one, other)]
        return list(_unequal(*(_without_paths(value, str(root)) for value, root in zip(contents, roots)), ignored))
    if one.suffix == ".png":
        check_intact(other)
    return []


def _compare_images(one: Path, other: Path) -> list[str]:
    first, second = nibabel.load(one), nibabel.load(other)
    if first.shape != second.shape or first.get_data_dtype() != second.get_data_dtype():
        return ["shape or type differ"]
    if not np.array_equal(first.affine, second.affine):
        return ["the geometry differs"]
    unequal = np.asarray(first.dataobj) != np.asarray(second.dataobj)
    return [f"{np.count_nonzero(unequal)} voxels differ"] if unequal.any() else []


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _without_paths(value, root: str):
    if isinstance(value, str):
        return value.replace(root, "WORK")
    if isinstance(value, dict):
        return {key: _without_paths(one, root) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(one, root) for one in value]
    return value


def _unequal(one, other, ignored: frozenset[str], place: str = "") -> Iterator[str]:
    """Yield the positions at which two trees of plain values and tensors differ."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape
        if not same or one.contiguous().numpy().tobytes() != other.contiguous().numpy().tobytes():
            yield f"{place} differs"
    elif isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}, key=str):
            if key in ignored or _MAY_DIFFER.search(str(key)):
                continue
            if key not in one or key not in other:
                yield f"{place} {key} is in one alone"
            else:
                yield from _unequal(one[key], other[key], ignored, f"{place} {key}")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other)):
            yield from _unequal(*pair, ignored, f"{place} {number}")
    elif one != other and not (_is_nan(one) and _is_nan(other)):
        yield f"{place} is {str(other)[:60]}, not {str(one)[:60]}"


def _is_nan(value) -> bool:
    return isinstance(value, float) and math.isnan(value)
