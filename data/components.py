"""Connected components of predictions."""

from collections.abc import Mapping

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from base.label_classes import LabelClasses


def keep_largest(labels: np.ndarray, count: int | Mapping[int, int]) -> np.ndarray:
    """Keep the `count` largest connected components of each foreground label and set the others to background.

    Voxels that share a face, an edge or a corner are connected (26-neighbourhood). Of equally large components, the
    first is kept.

    Args:
        labels: uint8 (z, y, x), 0 is the background; not modified.
        count: number of components to keep, of all labels or of each by its label; 0 keeps all.

    Returns:
        uint8 (z, y, x).
    """
    kept = labels.copy()
    counts = count if isinstance(count, Mapping) else dict.fromkeys(range(1, 256), count)
    planes = np.flatnonzero(labels.any(axis=(1, 2)))
    if not (any(counts.values()) and planes.size):
        return kept
    part = kept[planes[0] : planes[-1] + 1]
    for label, box in enumerate(ndimage.find_objects(part), start=1):
        if box is None or not counts.get(label):
            continue
        mask = part[box] == label
        components = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.view(np.uint8)), True)
        by_size = sitk.RelabelComponent(components)  # 1 is the largest
        part[box][sitk.GetArrayViewFromImage(by_size) > counts[label]] = 0
    return kept


def keep_components(labels: np.ndarray, kept: int | Mapping[str, int], classes: LabelClasses) -> np.ndarray:
    """Keep the `kept` largest components of all foreground `classes`, or of each by its name; see `keep_largest`."""
    if isinstance(kept, int):
        return keep_largest(labels, kept)
    named = zip(classes.names, classes.written_labels)
    return keep_largest(labels, {label: kept[name] for name, label in named if name in kept})
