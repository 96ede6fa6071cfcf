"""Files of `torch.save`: written verified, read with their checksums, as tensors and plain values only."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch

from base.atomic_file import write_bytes
from base.errors import InputError


def write_torch_file(path: Path, content) -> None:
    """Write tensors and plain values, whole or not at all."""
    memory = io.BytesIO()
    torch.save(content, memory)
    write_bytes(path, memory.getbuffer())


def read_torch_file(path: Path, remedy: str):
    """Read what `write_torch_file` wrote at `path`, on the CPU.

    Raises:
        InputError: the file is missing or damaged.
    """
    if not path.is_file():
        raise InputError(path, "there is no such file", "check the path")
    try:
        _check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError as error:
        raise InputError(path, "cannot be read (no permission)", "check its rights") from error
    except Exception as error:  # a damaged file makes zipfile and PyTorch raise nearly anything
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise InputError(path, f"cannot be read as weights ({reason})", remedy) from None


def _check_archive(path: Path) -> None:
    """Raise an exception unless the archive is whole by its checksums, and holds no more than its own size."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("it is compressed")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise ValueError("it promises more than it holds")
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} is wrong")


def check_tensors(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError unless `found` are finite tensors of the names, shapes and types of those `expected`."""
    if not isinstance(found, Mapping) or found.keys() != expected.keys():
        raise ValueError("the names of the weights are not those of the network")
    for name, like in expected.items():
        check_tensor(name, found[name], like)


def check_tensor(name: str, tensor: torch.Tensor, like: torch.Tensor) -> None:
    """Raise ValueError unless `tensor` is finite and of the shape and type of `like`."""
    if not isinstance(tensor, torch.Tensor) or tensor.shape != like.shape or tensor.dtype != like.dtype:
        raise ValueError(f"{name} is of another shape or type than in the network")
    if tensor.layout != torch.strided or not torch.ops.aten.is_non_overlapping_and_dense(tensor):
        raise ValueError(f"{name} has no place in memory for each of its values")
    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
        raise ValueError(f"{name} holds values that are not finite")
