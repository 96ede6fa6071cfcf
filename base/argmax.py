"""Argmax over classes."""

from collections.abc import Iterable

import numpy as np


def argmax(probabilities: Iterable[np.ndarray]) -> np.ndarray:
    """Return the index of the most probable class, uint8 (...), of arrays (...), one per class; first on ties.

    Classes are read one at a time, so that they may be computed on the way. Much faster than `numpy.argmax` along the
    first axis.
    """
    shares = iter(probabilities)
    best = next(shares).copy(order="K")
    winner = np.zeros_like(best, np.uint8)
    for index, share in enumerate(shares, start=1):
        np.copyto(winner, index, where=share > best)
        np.maximum(best, share, out=best)
    return winner
