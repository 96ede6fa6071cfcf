"""Scans that are read in a thread before they are asked for."""

from collections.abc import Container, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import SimpleITK as sitk

from data.images.image_geometry import Placement
from data.scan_files import ScanSource

ReadScan = tuple[dict[str, sitk.Image], Placement | None]  # see `ScanSource.read`


class ScansAhead:
    """Reads each scan while the one before it is predicted, and the first while networks are loaded.

    At most one scan more than the predicted one is in memory.

    Args:
        sources: scans, each asked for once at most, in this order.
        finished: names of the scans that are probably not asked for; these are not read ahead.
    """

    def __init__(self, sources: Sequence[ScanSource], finished: Container[str] = ()):
        self._finished = finished
        self._left = iter([source for source in sources if source.name not in finished])
        self._thread = ThreadPoolExecutor(1, "reading")
        self._coming: tuple[ScanSource, Future[ReadScan]] | None = None
        self._begin()

    def __enter__(self) -> "ScansAhead":
        return self

    def __exit__(self, *_) -> None:
        self._thread.shutdown(cancel_futures=True)

    def read(self, source: ScanSource) -> ReadScan:
        """Return a scan, see `ScanSource.read`, and begin to read the next one.

        Raises:
            InputError: an image is missing or damaged, or has not three dimensions.
        """
        if source.name in self._finished:
            return source.read()
        while self._coming[0] is not source:  # those before it were not asked for
            self._begin()
        reading = self._coming[1]
        self._begin()
        return reading.result()

    def _begin(self) -> None:
        source = next(self._left, None)
        self._coming = source and (source, self._thread.submit(source.read))
