"""Limit on the memory of memory-mapped cases from which patches are extracted."""

from collections.abc import Sequence

from data.sampling.training_cases import TrainingCase

_BYTES_IN_MEMORY = 256 * 2**20


class RecentCases:
    """Keeps the most recently used cases in memory, up to a total file size of `limit` bytes."""

    def __init__(self, cases: Sequence[TrainingCase], limit: int = _BYTES_IN_MEMORY):
        self._cases = cases
        self._limit = limit
        self._numbers: dict[int, None] = {}  # from least to most recently used
        self._bytes = 0

    def look_at(self, number: int) -> TrainingCase:
        """Return case `number` for reading, and release the least recently used cases beyond the limit."""
        case = self._cases[number]
        if number in self._numbers:
            del self._numbers[number]
        else:
            self._bytes += case.bytes_in_files
        self._numbers[number] = None
        while self._bytes > self._limit and len(self._numbers) > 1:
            oldest = next(iter(self._numbers))
            del self._numbers[oldest]
            self._bytes -= self._cases[oldest].bytes_in_files
            self._cases[oldest].release()
        return case
