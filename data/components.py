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
    for label, box in enumerate(ndimage.find_objects(labels) if count else [], start=1):
        if box is None:
            continue
        mask = labels[box] == label
        components = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.view(np.uint8)), True)
        by_size = sitk.GetArrayFromImage(sitk.RelabelComponent(components))  # 1 is the largest
        kept[box][by_size > count] = 0
    return kept
