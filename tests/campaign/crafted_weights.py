"""Crafted weights and checkpoints: intact files with invalid or malicious content."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

_BOMB_BYTES = 1 << 30


def craft(path: Path, rng: np.random.Generator, bait: Path) -> tuple[str, bool]:
    """Replace the file at `path` by a crafted one.

    Returns:
        a description, and True if the file may be a valid network with other results.
    """
    content = torch.load(path, map_location="cpu", weights_only=True)
    forgeries = [*_OF_ALL, *(_OF_WEIGHTS if "description" in content else _OF_CHECKPOINTS)]
    forgery = forgeries[rng.integers(len(forgeries))]
    content = forgery(content, path, rng, bait)
    if isinstance(content, dict | list | int | str | torch.Tensor):
        torch.save(content, path)
    return "crafted: " + forgery.__name__.strip("_").replace("_", " "), forgery in _PLAUSIBLE


class _Executes:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def _code(content, path: Path, rng, bait: Path) -> None:
    torch.save({**content, "more": _Executes(bait / "executed")}, path)


def _plain_pickle_with_code(content, path: Path, rng, bait: Path) -> None:
    path.write_bytes(pickle.dumps(_Executes(bait / "executed")))


def _compressed_bomb(content, path: Path, rng, bait: Path) -> None:
    """Write an archive in which one entry decompresses to a gigabyte of zeros."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    victim = sorted(name for name in entries if "/data/" in name)[0]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in entries.items():
            with archive.open(name, "w", force_zip64=True) as file:
                if name == victim:
                    for _ in range(_BOMB_BYTES >> 24):
                        file.write(bytes(1 << 24))
                else:
                    file.write(value)


def _no_dictionary(content, path: Path, rng, bait: Path):
    return [[1, 2, 3], 7, "text", torch.zeros(3)][rng.integers(4)]


def _an_empty_dictionary(content, path: Path, rng, bait: Path):
    return {}


def _a_key_missing(content, path: Path, rng, bait: Path):
    return _altered(content, rng, lambda node, key: node.pop(key))


def _a_key_of_another_type(content, path: Path, rng, bait: Path):
    values = [None, [], {}, "text", -1, float("nan"), 10**30, [[[]]], torch.zeros(2), True]
    value = values[rng.integers(len(values))]
    return _altered(content, rng, lambda node, key: node.__setitem__(key, value))


def _a_key_more(content, path: Path, rng, bait: Path):
    return _altered(content, rng, lambda node, key: node.__setitem__("unknown", [1]))


def _another_dtype(content, path: Path, rng, bait: Path):
    kinds = [torch.float64, torch.int8, torch.complex64, torch.float16, torch.bool]
    return _tensor_altered(content, rng, lambda tensor: tensor.to(kinds[rng.integers(len(kinds))]))


def _another_shape(content, path: Path, rng, bait: Path):
    return _tensor_altered(content, rng, lambda tensor: torch.zeros(*tensor.shape, 2))


def _stride_of_zero(content, path: Path, rng, bait: Path):
    return _tensor_altered(content, rng, lambda tensor: torch.zeros(1).expand(10**12))


def _same_shape_stride_of_zero(content, path: Path, rng, bait: Path):
    return _tensor_altered(content, rng, lambda tensor: torch.zeros(()).expand(tensor.shape))


def _not_a_number(content, path: Path, rng, bait: Path):
    value = float(rng.choice([np.nan, np.inf]))
    return _tensor_altered(content, rng, lambda tensor: torch.full_like(tensor.float(), value))


def _sparse_tensor(content, path: Path, rng, bait: Path):
    return _tensor_altered(content, rng, lambda tensor: torch.zeros(tensor.shape).to_sparse())


def _experiment_elsewhere(content, path: Path, rng, bait: Path):
    names = ["../../x", f"{bait}/x", "a/b", "..", "", "\0", "x" * 5000, 3]
    return _described(content, experiment=names[rng.integers(len(names))])


def _class_names_with_slashes(content, path: Path, rng, bait: Path):
    names = [["0", "../1", "2"], ["0", "/1", "2"], ["0", "1", ""], ["0", "a", "2"], ["0"], [0, 1, 2], "012"]
    chosen = names[rng.integers(len(names))]
    return _described(content, classes={**content["description"]["classes"], "names": chosen})


def _labels_out_of_range(content, path: Path, rng, bait: Path):
    labels = [[[0], [1], [999]], [[0], [1]], [[0], [-1], [2]], [[0], [1.5], [2]], [[0], [1], [1]], [], 5]
    chosen = labels[rng.integers(len(labels))]
    return _described(content, classes={**content["description"]["classes"], "labels": chosen})


def _absurd_size(content, path: Path, rng, bait: Path):
    keys = ["features", "receptive_field", "sample_size", "dropout", "parameters", "iterations"]
    values = [10**9, 10**18, 0, -1, 1.5, float("nan"), "19"]
    return _described(content, **{keys[rng.integers(len(keys))]: values[rng.integers(len(values))]})


def _unknown_architecture(content, path: Path, rng, bait: Path):
    names = ["UNet3D", "ResNet2D", "dil4D", "", None, ["dil2D"], "__class__"]
    return _described(content, architecture=names[rng.integers(len(names))])


def _normalization_without_sense(content, path: Path, rng, bait: Path):
    normalization = dict(content["description"]["normalization"])
    keys = sorted(normalization)
    values = [None, float("nan"), float("inf"), 0, -1, "text", [], 1e308]
    normalization[keys[rng.integers(len(keys))]] = values[rng.integers(len(values))]
    return _described(content, normalization=normalization)


def _planes_without_sense(content, path: Path, rng, bait: Path):
    planes = [(), ("oblique",), 3, [[0]], ("axial",) * 100]
    return _described(content, planes=planes[rng.integers(len(planes))])


def _voxel_size_without_sense(content, path: Path, rng, bait: Path):
    sizes = [[0, 0, 0], [3.0, 3.0], "3", [float("nan")] * 3, [-3.0, 3.0, 5.0]]  # None is valid: --voxel-size none
    return _described(content, voxel_size_mm=sizes[rng.integers(len(sizes))])


def _described(content: dict, **values) -> dict:
    return {**content, "description": {**content["description"], **values}}


def _altered(content: dict, rng: np.random.Generator, alter: Callable[[dict, object], object]) -> dict:
    """Alter one key of one dictionary anywhere in the content."""
    nodes = [node for node in _dictionaries(content) if node]
    node = nodes[rng.integers(len(nodes))]
    alter(node, sorted(node, key=str)[rng.integers(len(node))])
    return content


def _tensor_altered(content: dict, rng: np.random.Generator, alter: Callable[[torch.Tensor], torch.Tensor]) -> dict:
    """Alter one tensor anywhere in the content."""
    places = [
        (node, key) for node in _dictionaries(content) for key, value in node.items() if isinstance(value, torch.Tensor)
    ]
    node, key = places[rng.integers(len(places))]
    node[key] = alter(node[key])
    return content


def _dictionaries(value) -> list[dict]:
    if isinstance(value, dict):
        return [value, *(inner for one in value.values() for inner in _dictionaries(one))]
    if isinstance(value, list | tuple):
        return [inner for one in value for inner in _dictionaries(one)]
    return []


_OF_ALL = (
    _code, _plain_pickle_with_code, _compressed_bomb, _no_dictionary, _an_empty_dictionary, _a_key_missing,
    _a_key_missing, _a_key_of_another_type, _a_key_of_another_type, _a_key_more, _another_dtype, _another_shape,
    _stride_of_zero, _same_shape_stride_of_zero, _not_a_number, _sparse_tensor,
)  # fmt: skip
_OF_WEIGHTS = (
    _experiment_elsewhere, _class_names_with_slashes, _labels_out_of_range, _absurd_size, _absurd_size,
    _unknown_architecture, _normalization_without_sense, _planes_without_sense, _voxel_size_without_sense,
)  # fmt: skip
_OF_CHECKPOINTS = ()
_PLAUSIBLE = (
    _a_key_missing, _a_key_of_another_type, _a_key_more, _same_shape_stride_of_zero, _normalization_without_sense,
    _planes_without_sense,
)  # fmt: skip
