"""Scribbles that mark every structure: what is connected to no mark of its class is none of its structures.

Networks that learn from scribbles see no loss where nobody annotated, and so find structures far from all scribbles.
Where every structure has a mark, in each volume or in each axial slice, these are known to be false.
"""

import numpy as np
import SimpleITK as sitk


def connected_to_marks(values: np.ndarray, marks: np.ndarray, marked_in: str) -> np.ndarray:
    """Return for each voxel the highest level at which it is connected to a mark, and at most its own value.

    This is the morphological reconstruction of the values from the marks (Vincent, IEEE Transactions on Image
    Processing, 1993), with neighbours across faces, edges and corners. Of 0 and 1, it keeps the connected components
    that hold or touch a mark.

    Args:
        values: (z, y, x) from 0 to 1.
        marks: boolean (z, y, x).
        marked_in: one of `base.label_classes.MARKED_IN`; ``slices`` connects voxels of the same axial slice only.

    Returns:
        float32 (z, y, x).
    """
    values = np.float32(values)
    limits = np.where(marks, np.float32(1), values)
    if marked_in == "slices":
        levels = np.stack([_reconstructed(*pair) for pair in zip(limits, marks)])
    else:
        levels = _reconstructed(limits, marks)
    return np.minimum(values, levels)


def _reconstructed(limits: np.ndarray, marks: np.ndarray) -> np.ndarray:
    if not marks.any():
        return np.zeros_like(limits)
    images = (sitk.GetImageFromArray(array) for array in (np.float32(marks), limits))
    return sitk.GetArrayFromImage(sitk.ReconstructionByDilation(*images, fullyConnected=True))


def without_unmarked(probabilities: np.ndarray, reference: np.ndarray, marked_in: str) -> np.ndarray:
    """Return probabilities with those of structures that nobody marked given to the background.

    Args:
        probabilities: float32 (classes, z, y, x).
        reference: class indices (z, y, x), `IGNORED` where nothing is annotated.
        marked_in: one of `base.label_classes.MARKED_IN`.
    """
    kept = probabilities.copy()
    for index in range(1, len(probabilities)):
        kept[index] = connected_to_marks(probabilities[index], reference == index, marked_in)
        kept[0] += probabilities[index] - kept[index]
    return kept


def unmarked(labels: np.ndarray, reference: np.ndarray, marked_in: str) -> np.ndarray:
    """Return where predicted foreground is connected to no mark of its label, boolean (z, y, x).

    Args:
        labels: predicted, uint8 (z, y, x).
        reference: labels, `IGNORED` where nothing is annotated.
        marked_in: one of `base.label_classes.MARKED_IN`.
    """
    known = np.zeros(labels.shape, bool)
    for label in np.unique(labels[labels > 0]):
        known |= connected_to_marks(labels == label, reference == label, marked_in) > 0
    return (labels > 0) & ~known
