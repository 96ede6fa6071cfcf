"""Files of `torch.save`: atomic and verified writing, and safe reading (`weights_only`) with checksums."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch

from base.atomic_file import write_bytes
from base.errors import InputError


def write_torch_file(path: Path, content) -> None:
    """Write tensors and plain values atomically."""
    memory = io.BytesIO()
    torch.save(content, memory)
    write_bytes(path, memory.getbuffer())


def read_torch_file(path: Path, remedy: str):
    """Read a file written by `write_torch_file`, with its tensors on the CPU.

    Raises:
        InputError: the file is missing or damaged.
    """
    if not path.is_file():
        raise InputError(path, "there is no such file", "check the path")
    try:
        _check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError as error:
        raise InputError(path, "cannot be read (no permission)", "check its permissions") from error
    except Exception as error:  # a damaged file may make zipfile or PyTorch raise almost any exception
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise InputError(path, f"cannot be read as weights ({reason})", remedy) from None


def _check_archive(path: Path) -> None:
    """Raise an exception unless the checksums of the archive are valid and its entries fit its size."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("it is compressed")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise ValueError("its entries are larger than the file")
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} is wrong")


def check_tensors(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError unless the tensors in `found` are finite and have the names, shapes and types of `expected`."""
    if not isinstance(found, Mapping) or found.keys() != expected.keys():
        raise ValueError("the names of the weights are not those of the network")
    for name, like in expected.items():
        check_tensor(name, found[name], like)


def check_tensor(name: str, tensor: torch.Tensor, like: torch.Tensor) -> None:
    """Raise ValueError unless `tensor` is dense and finite and has the shape and type of `like`."""
    if not isinstance(tensor, torch.Tensor) or tensor.shape != like.shape or tensor.dtype != like.dtype:
        raise ValueError(f"{name} has another shape or type than in the network")
    if tensor.layout != torch.strided or not torch.ops.aten.is_non_overlapping_and_dense(tensor):
        raise ValueError(f"{name} is not a dense tensor")
    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
        raise ValueError(f"{name} holds values that are not finite")
