"""Scans that are read in a thread before they are asked for."""

from collections.abc import Callable, Container, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from data.scan_files import ScanSource

Content = TypeVar("Content")


class ScansAhead(Generic[Content]):
    """Reads each scan while the one before it is predicted, and the first while networks are loaded.

    At most one scan more than the predicted one is in memory.

    Args:
        sources: scans, each asked for once at most, in this order.
        read_one: reads a scan.
        finished: names of the scans that are probably not asked for; these are not read ahead.
    """

    def __init__(
        self, sources: Sequence[ScanSource], read_one: Callable[[ScanSource], Content], finished: Container[str] = ()
    ):
        self._read_one = read_one
        self._finished = finished
        self._left = iter([source for source in sources if source.name not in finished])
        self._thread = ThreadPoolExecutor(1, "reading")
        self._coming: tuple[ScanSource, Future[Content]] | None = None
        self._begin()

    def __enter__(self) -> "ScansAhead[Content]":
        return self

    def __exit__(self, *_) -> None:
        self._thread.shutdown(cancel_futures=True)

    def read(self, source: ScanSource) -> Content:
        """Return what a scan was read as, and begin to read the next one; raises what reading it raised."""
        if source.name in self._finished:
            return self._read_one(source)
        while self._coming[0] is not source:  # those before it were not asked for
            self._begin()
        reading = self._coming[1]
        self._begin()
        return reading.result()

    def _begin(self) -> None:
        source = next(self._left, None)
        self._coming = source and (source, self._thread.submit(self._read_one, source))
