"""Argmax over classes."""

import numpy as np


def argmax(probabilities: np.ndarray) -> np.ndarray:
    """Return the index of the most probable class, uint8 (...), of probabilities (classes, ...); first on ties."""
    best = probabilities[0].copy()
    result = np.zeros(best.shape, np.uint8)
    for index, values in enumerate(probabilities[1:], start=1):  # much faster than np.argmax over a leading axis
        np.copyto(result, index, where=values > best)
        np.maximum(best, values, out=best)
    return result
