import pytest
import torch

from base.errors import InputError
from utils.runtime.devices import choose_device
from utils.runtime.processes import Processes


@pytest.fixture(autouse=True)
def two_gpus(monkeypatch):
    """Pretend that the machine has two GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)


def test_each_process_of_a_machine_has_its_own_gpu():
    assert choose_device("cuda:1", Processes()) == torch.device("cuda:1")
    for name in ("auto", "cuda"):
        assert choose_device(name, Processes(rank=3, count=4, local_rank=1)) == torch.device("cuda:1")
    assert choose_device("cpu", Processes(rank=3, count=4, local_rank=1)) == torch.device("cpu")


@pytest.mark.parametrize(("name", "problem"), [("auto", "process 3 of this machine has no"), ("cuda:0", "one device")])
def test_two_processes_never_share_a_gpu(name, problem):
    with pytest.raises(InputError, match=problem):
        choose_device(name, Processes(rank=2, count=3, local_rank=2))
