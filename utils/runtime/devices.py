"""Choice of the device on which networks run."""

import torch

from base.errors import InputError
from utils.runtime.processes import Processes


def choose_device(name: str, processes: Processes) -> torch.device:
    """Return the device for ``--device`` auto, cpu, cuda or cuda:N; each process of a machine gets its own CUDA device.

    Raises:
        InputError: the device does not exist, or there are more processes than devices.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = _device_of(name)
    if device.type == "cuda":
        if processes.are_several:
            device = _own_device(device, processes.local_rank)
        torch.cuda.set_device(device)
    return device


def _own_device(device: torch.device, local_rank: int) -> torch.device:
    if device.index is not None:
        raise InputError("--device", f"{device} is one device for several processes", "choose cuda, or one process")
    if local_rank >= torch.cuda.device_count():
        problem = f"process {local_rank + 1} of this machine has no CUDA device ({torch.cuda.device_count()} available)"
        raise InputError("--device", problem, "start one process per device (--nproc-per-node)")
    return torch.device("cuda", local_rank)


def _device_of(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError("--device", f"{name!r} is unknown", "choose auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError("--device", f"{name!r} is not supported", "choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError("--device", f"{name} does not exist ({torch.cuda.device_count()} CUDA devices)", "choose cpu")
    return device
