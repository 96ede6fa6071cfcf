"""Maps of labels that are taken for scans, told by their values."""

import numpy as np

LARGEST_LABEL = 254
_FEW = 3  # values, of which no scan consists
_EVEN = 0.8  # share of neighbours in the foreground that are equal: in scans noise makes it far smaller
_LOOKED_AT = 2**21  # voxels in a row, in the middle


def looks_like_labels(values: np.ndarray) -> bool:
    """Tell whether the voxels (z, y, x) hold whole numbers that labels could be, two at least, in even areas."""
    low, high = values.min(), values.max()
    if low < 0 or high > LARGEST_LABEL or low == high:
        return False
    row = values.reshape(-1)
    start = max(0, (row.size - _LOOKED_AT) // 2)
    row = row[start : start + _LOOKED_AT]
    if values.dtype.kind == "f" and (row != np.round(row)).any():
        return False
    if np.count_nonzero(np.bincount(row.astype(np.uint8))) <= _FEW:
        return True
    foreground = row[:-1] > 0
    return bool(np.mean(row[1:][foreground] == row[:-1][foreground]) > _EVEN)
