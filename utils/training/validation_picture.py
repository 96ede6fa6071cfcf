"""Picture of a validation slice: image, image with reference, image with prediction."""

from dataclasses import dataclass

import numpy as np

from utils.runtime.figures import label_picture

LEAST_SIDE = 320  # pixels of a panel
_MOST_SIDE = 960
_GAP = 6  # pixels between panels


@dataclass(frozen=True)
class ShownPicture:
    """Panels of a picture by title, uint8 (3, rows, columns) and of equal size, with a caption."""

    panels: dict[str, np.ndarray]
    caption: str

    @property
    def joined(self) -> np.ndarray:
        """The panels side by side, uint8 (3, rows, columns)."""
        first, *others = self.panels.values()
        gap = np.full((3, first.shape[1], _GAP), 255, np.uint8)
        return np.concatenate([first, *(part for other in others for part in (gap, other))], axis=2)


def validation_picture(
    image: np.ndarray, reference: np.ndarray, answer: np.ndarray, spacing_mm: tuple[float, float], caption: str
) -> ShownPicture:
    """Return panels of a slice, of the slice with its reference, and of the slice with the prediction.

    Panels show the physical proportions of the voxels. They are at least `LEAST_SIDE` pixels high and wide; elongated
    slices are padded with black.

    Args:
        image: float (rows, columns).
        reference, answer: class indices of reference and prediction, of the same shape.
        spacing_mm: of rows and columns.
    """
    rows, columns = _source_indices(image.shape, spacing_mm)
    panels = {}
    for title, classes in (("image", np.zeros_like(reference)), ("reference", reference), ("prediction", answer)):
        panel = label_picture(image, classes)[:, rows[:, None], columns]
        missing = [max(0, LEAST_SIDE - side) for side in panel.shape[1:]]
        panels[title] = np.pad(panel, [(0, 0), *((pixels // 2, pixels - pixels // 2) for pixels in missing)])
    return ShownPicture(panels, caption)


def _source_indices(shape: tuple[int, int], spacing_mm: tuple[float, float]) -> list[np.ndarray]:
    """Return the row (column) of the slice that each row (column) of a panel shows."""
    extents = [count * mm for count, mm in zip(shape, spacing_mm)]
    per_mm = max(LEAST_SIDE / min(extents), max(n / extent for n, extent in zip(shape, extents)))
    per_mm = min(per_mm, _MOST_SIDE / max(extents))
    sides = [max(1, round(extent * per_mm)) for extent in extents]
    return [np.arange(side) * count // side for side, count in zip(sides, shape)]
