"""The processes that a stage is one of: `torchrun` starts them, and tells each its number in the environment.

A stage that runs alone pays nothing for it: PyTorch is imported here only where there are several processes.
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

PATIENCE = timedelta(days=7)  # of a process whose cases are done before the others'
_SECONDS_BETWEEN_LOOKS = 0.01  # whether they are


@dataclass(frozen=True)
class Processes:
    """All processes of a stage, as one of them sees them.

    Attributes:
        rank: the number of this process; the first, 0, alone prints, and writes what is common to all.
        count: how many there are, on all machines.
        local_rank: the number of this process on its machine.
        local_count: how many there are on its machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @classmethod
    def of_environment(cls) -> "Processes":
        """Those of which `torchrun` made this process one; else it is alone."""
        names = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}
        return cls(*(int(os.environ.get(name, default)) for name, default in names.items()))

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def are_several(self) -> bool:
        return self.count > 1

    def share(self, items: Sequence) -> Sequence:
        """This process's share of `items`: every item belongs to one process, and shares differ by one at most."""
        return items[self.rank :: self.count]

    def silence_all_but_first(self) -> None:
        """Let only the first process print; warnings and errors go to standard error from each."""
        if not self.is_first:
            sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for as long as the process lives

    @contextmanager
    def together(self, patience: timedelta, cuda: bool = False) -> Iterator[None]:
        """While entered, the processes can wait for one another, and sum tensors: of CUDA devices too, if asked for.

        Args:
            patience: how long one waits for the others before it gives up.

        Raises:
            InputError: another process ended before its time, or does not answer.
        """
        if not self.are_several:
            yield
            return
        from torch import distributed

        with _ended_by_signals():  # PyTorch does not hear them while it looks for the other processes
            distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=patience)
        try:
            yield
        except RuntimeError as error:
            if "gloo" in str(error) or isinstance(error, distributed.DistError):
                raise InputError("torchrun", "another process has ended, or is cut off", "see what it says") from error
            raise
        finally:
            distributed.destroy_process_group()

    def wait(self) -> None:
        """Wait until all processes have come here; Ctrl-C and SIGTERM are heard meanwhile."""
        if self.are_several:
            comparison = self._compare(0)[0]
            while not comparison.is_completed():
                time.sleep(_SECONDS_BETWEEN_LOOKS)
            comparison.wait()

    @contextmanager
    def first_ahead(self) -> Iterator[None]:
        """Let the first process go through the block before the others do; all leave it together."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()
        self.wait()

    def largest(self, number: int) -> Callable[[], int]:
        """Begin to compare a `number` of each process; what is returned waits for the largest of them."""
        if not self.are_several:
            return lambda: number
        comparison, values = self._compare(number)

        def answer() -> int:
            comparison.wait()
            return int(values)

        return answer

    def _compare(self, number: int):
        """Begin to compare; the pending work, and the tensor that will hold the largest number."""
        import torch

        values = torch.tensor([number])
        return torch.distributed.all_reduce(values, torch.distributed.ReduceOp.MAX, async_op=True), values

    def gather(self, results: Sequence) -> list:
        """The results of all processes for their shares, in the order of what was shared out; [] but in the first."""
        if not self.are_several:
            return list(results)
        from torch import distributed

        self.wait()
        shares = [None] * self.count if self.is_first else None
        distributed.gather_object(list(results), shares)
        return [shares[n % self.count][n // self.count] for n in range(sum(map(len, shares or ())))]


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """While entered, Ctrl-C and SIGTERM end the process at once, whatever it is busy with."""
    answers = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, answer in answers.items():
            signal.signal(number, answer)


ALONE = Processes()
