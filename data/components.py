"""Connected components of predictions."""

import numpy as np
import SimpleITK as sitk
from scipy import ndimage


def keep_largest(labels: np.ndarray, count: int) -> np.ndarray:
    """Keep the `count` largest components of each foreground label, and give the others to the background.

    Voxels that share a face, an edge or a corner are connected (26 neighbours). Of equally large components the first
    stays.

    Args:
        labels: uint8 (z, y, x), 0 is the background; not changed.
        count: at least 1; 0 keeps all of them.

    Returns:
        uint8 (z, y, x).
    """
    kept = labels.copy()
    planes = np.flatnonzero(labels.any(axis=(1, 2)))
    if not (count and planes.size):
        return kept
    part = kept[planes[0] : planes[-1] + 1]
    for label, box in enumerate(ndimage.find_objects(part), start=1):
        if box is None:
            continue
        mask = part[box] == label
        components = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.view(np.uint8)), True)
        by_size = sitk.RelabelComponent(components)  # 1 is the largest
        part[box][sitk.GetArrayViewFromImage(by_size) > count] = 0
    return kept
