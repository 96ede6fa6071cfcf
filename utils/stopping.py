"""Ctrl-C and SIGTERM in the middle of training: remembered, and answered between two iterations."""

import signal


class StopRequest:
    """While it is entered, the first SIGINT or SIGTERM sets `signal_number`; a second one interrupts at once."""

    def __init__(self):
        self.signal_number: int | None = None

    def __enter__(self) -> "StopRequest":
        self._previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in self._previous:
            signal.signal(number, self._remember)
        return self

    def __exit__(self, *exception) -> None:
        self._restore()

    @property
    def status(self) -> int:
        """Exit status that tells of the signal, as shells have it: 130 or 143."""
        return 128 + self.signal_number

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _remember(self, signal_number, frame) -> None:
        self.signal_number = signal_number
        self._restore()
