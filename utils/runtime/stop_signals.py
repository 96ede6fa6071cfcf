"""Ctrl-C and SIGTERM during training: recorded, and handled between two iterations."""

import signal


class StopRequest:
    """Records SIGINT or SIGTERM in `signal_number` (0 if none) while entered; a second SIGINT interrupts at once.

    A second SIGTERM does not interrupt: Slurm sends one to every process of a job, and `torchrun` forwards its own.
    """

    def __init__(self):
        self.signal_number = 0

    def __enter__(self) -> "StopRequest":
        self._previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in self._previous:
            signal.signal(number, self._remember)
        return self

    def __exit__(self, *exception) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _remember(self, signal_number, frame) -> None:
        if signal_number == self.signal_number == signal.SIGINT:
            self._restore()
            signal.raise_signal(signal.SIGINT)
        self.signal_number = signal_number
