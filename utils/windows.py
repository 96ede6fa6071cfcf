"""Where windows lie along an axis, and what they count."""

import numpy as np

_SIGMAS_A_SIDE = 8  # Isensee et al., nnU-Net, 2021


def place_windows(extent: int, side: int, overlap: float) -> list[tuple[int, np.ndarray]]:
    """Starts of windows along an axis, evenly spaced, and the weight of each of their voxels.

        axis       0 1 2 3 4 5 6        extent 7, side 4, overlap 0.5
        windows    a a a a
                       b b b b          start 2, of 1.5
                         c c c c

    Weights are Gaussian and scaled to sum to 1 at every voxel of the axis, so that products of the weights of several
    axes sum to 1 at every voxel of a slice or volume: nothing is left to divide by. No weight is 0.

    Args:
        extent: of the axis, at least `side`.
        overlap: share of a window's side that the next one covers too, at least.

    Returns:
        (start, float32 weights (side,)) of each window.
    """
    stride = max(1, int(side * (1 - overlap)))
    starts = np.linspace(0, extent - side, -(-(extent - side) // stride) + 1).round().astype(int).tolist()
    from_centre = np.arange(side) - (side - 1) / 2
    gaussian = np.exp(-0.5 * (from_centre * _SIGMAS_A_SIDE / side) ** 2)
    total = np.zeros(extent)
    for start in starts:
        total[start : start + side] += gaussian
    return [(start, (gaussian / total[start : start + side]).astype(np.float32)) for start in starts]
