"""Processes of a distributed stage, as started by `torchrun`, which sets rank and world size in the environment.

PyTorch is imported only if there are several processes, so that a stage in a single process does not wait for it.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from base.errors import InputError

CASE_TIMEOUT = timedelta(days=7)  # for a process that finishes its cases before the others
_POLLING_SECONDS = 0.01


@dataclass(frozen=True)
class Processes:
    """Rank of this process, and number of processes of the stage.

    Attributes:
        rank: of this process; only rank 0, the first, prints and writes shared files.
        count: number of processes on all machines (world size).
        local_rank: rank of this process on its machine.
        local_count: number of processes on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @classmethod
    def of_environment(cls) -> "Processes":
        """Return ranks and counts from torchrun's environment; a single process without it."""
        names = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}
        return cls(*(int(os.environ.get(name, default)) for name, default in names.items()))

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def are_several(self) -> bool:
        return self.count > 1

    def share(self, items: Sequence) -> Sequence:
        """Return this process's share of `items`; shares are disjoint, and their lengths differ by at most one."""
        return items[self.rank :: self.count]

    def silence_all_but_first(self) -> None:
        """Discard standard output except in the first process; standard error stays."""
        if not self.is_first:
            sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for as long as the process lives

    @contextmanager
    def together(self, timeout: timedelta, cuda: bool = False) -> Iterator[None]:
        """Open a process group, in which processes can wait for one another and reduce tensors.

        Args:
            timeout: longest time that a process waits for the others.
            cuda: also reduce tensors on CUDA devices.

        Raises:
            InputError: another process has ended early or does not respond.
        """
        if not self.are_several:
            yield
            return
        from torch import distributed

        with _ended_by_signals():  # PyTorch ignores them while it connects the processes
            distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=timeout)
        try:
            yield
        except RuntimeError as error:
            if "gloo" in str(error) or isinstance(error, distributed.DistError):
                problem = "another process has ended or cannot be reached"
                raise InputError("torchrun", problem, "see its output") from error
            raise
        finally:
            distributed.destroy_process_group()

    def wait(self) -> None:
        """Wait for all processes (a barrier); Ctrl-C and SIGTERM are handled meanwhile."""
        if self.are_several:
            comparison = self._compare(0)[0]
            while not comparison.is_completed():
                time.sleep(_POLLING_SECONDS)
            comparison.wait()

    @contextmanager
    def first_ahead(self) -> Iterator[None]:
        """Run the block in the first process, then in the others; all leave it together."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()
        self.wait()

    def largest(self, number: int) -> Callable[[], int]:
        """Start a maximum reduction of `number` over the processes; return a function that waits for its result."""
        if not self.are_several:
            return lambda: number
        comparison, values = self._compare(number)

        def wait_for_maximum() -> int:
            comparison.wait()
            return int(values)

        return wait_for_maximum

    def _compare(self, number: int):
        """Start a maximum reduction; return the pending work, and the tensor that will hold the maximum."""
        import torch

        values = torch.tensor([number])
        return torch.distributed.all_reduce(values, torch.distributed.ReduceOp.MAX, async_op=True), values

    def gather(self, results: Sequence) -> list:
        """Gather the results of all shares in the first process, in the order of the items; [] in the others."""
        if not self.are_several:
            return list(results)
        from torch import distributed

        self.wait()
        shares = [None] * self.count if self.is_first else None
        distributed.gather_object(list(results), shares)
        return [shares[n % self.count][n // self.count] for n in range(sum(map(len, shares or ())))]


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the process at once while the context is open."""
    handlers = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


ALONE = Processes()
