"""Chunks of a long axis, small enough that the arrays of one step fit into the processor's cache."""

from collections.abc import Iterator

VOXELS_PER_CHUNK = 1 << 15


def chunks(count: int) -> Iterator[slice]:
    """Yield consecutive slices of `VOXELS_PER_CHUNK` that cover `count` voxels; the last may be shorter."""
    for first in range(0, count, VOXELS_PER_CHUNK):
        yield slice(first, min(first + VOXELS_PER_CHUNK, count))
