"""Where networks run."""

import torch

from base.errors import InputError


def choose_device(name: str) -> torch.device:
    """The device for ``--device`` auto, cpu, cuda or cuda:N.

    Raises:
        InputError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError("--device", f"{name!r} is unknown", "choose auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError("--device", f"{name!r} is not supported", "choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError("--device", f"{name} is not there ({torch.cuda.device_count()} CUDA devices)", "choose cpu")
    return device
