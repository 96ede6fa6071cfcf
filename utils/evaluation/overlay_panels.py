"""Panels of an overlay: slices of a scan sampled at the pixels of the picture, with the areas of errors.

A panel is a square that shows a part of a slice at its true proportions, however long its voxels are. Sampling at the
picture's own pixels bounds the time of drawing, whatever the size of the scan.

    plane       axis   rows              columns
    axial       0      front to back     right to left, as the viewer faces the patient
    coronal     1      head to foot      right to left
    sagittal    2      head to foot      front to back
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from base.boxes import Box, bounding_box
from base.intensity_records import Range
from base.label_classes import IGNORED
from utils.evaluation.case_measures import Segmentation
from utils.evaluation.shown_slices import DoubtMap
from utils.runtime.figures import matplotlib

FALSE_POSITIVE, FALSE_NEGATIVE, OTHER_CLASS, DOUBT = "#f0e442", "#cc79a7", "#0072b2", "#f0e442"
_PLANES = ("axial", "coronal", "sagittal")
_ENDS = (("I", "S"), ("A", "P"), ("R", "L"))  # of the axes (z, y, x), in array order
_NORMALS = (("S", "I"), ("P", "A"), ("L", "R"))  # letters of positions above and below 0
_SHARE = 0.45  # of an area's colour in the picture, so that the scan shows through
_LEAST_DOUBT = 0.1  # share of the largest doubt below which nothing is filled
_HATCH = 8  # pixels from one line to the next
_MARGIN_SHARE, _LEAST_MARGIN_MM, _LEAST_SIDE_MM = 0.12, 8.0, 30.0


@dataclass(frozen=True)
class View:
    """Square part of a slice: its plane (axis), position, centre along (rows, columns) and side, in mm.

    Positions along an axis are measured from the outer border of the first voxel.
    """

    axis: int
    position: int
    centre_mm: tuple[float, float]
    side_mm: float

    @property
    def axes(self) -> tuple[int, int]:
        """Axes of rows and columns."""
        return tuple(axis for axis in range(3) if axis != self.axis)

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """Directions at the left, right, upper and lower border."""
        rows, columns = (_ENDS[axis] for axis in self.axes)
        return (*columns, *(rows if self.axis == 0 else rows[::-1]))

    def title(self, segmentation: Segmentation) -> str:
        """Name the plane and the position of the slice: ``axial, S 34.5 mm``.

        The position is a patient coordinate, as viewers show it; in oblique scans, the distance along the slices'
        normal from the origin of these coordinates.
        """
        mm = segmentation.first_slice_mm[self.axis] + self.position * segmentation.spacing_mm[self.axis]
        letter = _NORMALS[self.axis][mm < 0]
        return f"{_PLANES[self.axis]}, {letter} {abs(mm):.1f} mm"


def shown_box(segmentation: Segmentation) -> Box:
    """Return the box of prediction and reference; the whole scan without foreground."""
    prediction, reference = segmentation.prediction, segmentation.reference
    box = bounding_box(prediction if reference is None else prediction | (reference * (reference != IGNORED)))
    return box if box[0].stop else tuple(slice(0, size) for size in prediction.shape)


def close_view(segmentation: Segmentation, box: Box, axis: int, position: int) -> View:
    """Return the part of a slice that shows `box` and a margin."""
    rows, columns = ((part, mm) for other, (part, mm) in enumerate(zip(box, segmentation.spacing_mm)) if other != axis)
    sides = [(part.stop - part.start) * mm for part, mm in (rows, columns)]
    margin = max(_LEAST_MARGIN_MM, _MARGIN_SHARE * max(sides))
    centre = tuple((part.start + part.stop) / 2 * mm for part, mm in (rows, columns))
    return View(axis, position, centre, max(_LEAST_SIDE_MM, max(sides) + 2 * margin))


def full_view(segmentation: Segmentation, axis: int, position: int) -> View:
    """Return the whole slice."""
    sizes = zip(segmentation.prediction.shape, segmentation.spacing_mm)
    sides = [size * mm for other, (size, mm) in enumerate(sizes) if other != axis]
    return View(axis, position, tuple(side / 2 for side in sides), max(sides))


class Panel:
    """A view of a case, sampled at `pixels` × `pixels`.

    Args:
        window: intensities that are black and white.
    """

    def __init__(self, segmentation: Segmentation, view: View, pixels: int, window: Range):
        self.view = view
        self._segmentation = segmentation
        self._window = window
        self._pixels = pixels
        self._indices, self._inside = zip(*(self._sampled(place) for place in (0, 1)))

    def _sampled(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the index of the voxel of each row (column) of the panel, and whether it lies in the scan."""
        view, axis = self.view, self.view.axes[place]
        centres = (np.arange(self._pixels) + 0.5) / self._pixels - 0.5
        if place == 0 and view.axis != 0:
            centres = -centres  # head up
        mm = view.centre_mm[place] + centres * view.side_mm
        indices = np.floor(mm / self._segmentation.spacing_mm[axis]).astype(int)
        size = self._segmentation.prediction.shape[axis]
        return np.clip(indices, 0, size - 1), (indices >= 0) & (indices < size)

    @cached_property
    def _is_inside(self) -> np.ndarray:
        return self._inside[0][:, None] & self._inside[1]

    def _sample(self, volume: np.ndarray) -> np.ndarray:
        """Return the panel of a volume (z, y, x), 0 outside the scan."""
        section = volume[(slice(None),) * self.view.axis + (self.view.position,)]
        return section[np.ix_(*self._indices)] * self._is_inside

    @cached_property
    def prediction(self) -> np.ndarray:
        """Labels of the prediction, uint8 (rows, columns)."""
        return self._sample(self._segmentation.prediction)

    @cached_property
    def reference(self) -> np.ndarray | None:
        """Labels of the reference, `IGNORED` where it is not annotated; None without one."""
        reference = self._segmentation.reference
        return None if reference is None else self._sample(reference)

    def grey(self) -> np.ndarray:
        """Return the scan, float (rows, columns, 3); black outside."""
        low, high = self._window
        section = self._segmentation.image[(slice(None),) * self.view.axis + (self.view.position,)]
        values = section[np.ix_(*self._indices)].astype(np.float32)
        grey = np.clip((values - low) / max(high - low, 1e-6), 0, 1) * self._is_inside
        return np.repeat(grey[..., None], 3, axis=2)

    def areas(self) -> dict[str, np.ndarray]:
        """Return masks of false positives, false negatives and wrong foreground classes, by colour."""
        if self.reference is None:
            return {}
        wrong = (self.prediction != self.reference) & (self.reference != IGNORED)
        return {
            FALSE_POSITIVE: wrong & (self.reference == 0),
            FALSE_NEGATIVE: wrong & (self.prediction == 0),
            OTHER_CLASS: wrong & (self.reference > 0) & (self.prediction > 0),
        }

    def picture(self, doubt: DoubtMap | None) -> np.ndarray:
        """Return the scan with the areas of errors, or without a reference those of doubt: float (rows, columns, 3).

        False positives are filled evenly; false negatives are hatched, so that they differ in grey, too.
        """
        picture = self.grey()
        rows, columns = np.ogrid[: self._pixels, : self._pixels]
        for colour, mask in self.areas().items():
            _fill(picture, mask, colour, _SHARE)
            if colour != FALSE_POSITIVE:
                across = rows - columns if colour == OTHER_CLASS else rows + columns
                _fill(picture, mask & (across % _HATCH == 0), colour, 0.9)
        if self.reference is None and doubt is not None and doubt.values.any():
            values = doubt.slice_at(self.view.axis, self.view.position)[np.ix_(*self._indices)]
            values = values / doubt.values.max() * self._is_inside
            doubtful = values > _LEAST_DOUBT
            _fill(picture, doubtful, DOUBT, _SHARE * values[doubtful, None])
        return picture

    def pixel_of(self, voxel: tuple[int, int, int]) -> tuple[float, float]:
        """Return the (column, row) of the panel at the centre of a voxel (z, y, x)."""
        steps = []
        for axis, centre in zip(self.view.axes, self.view.centre_mm):
            mm = (voxel[axis] + 0.5) * self._segmentation.spacing_mm[axis] - centre
            steps.append(mm / self.view.side_mm * self._pixels)
        row = steps[0] if self.view.axis == 0 else -steps[0]
        return steps[1] + self._pixels / 2 - 0.5, row + self._pixels / 2 - 0.5


def _fill(picture: np.ndarray, mask: np.ndarray, colour: str, share: float | np.ndarray) -> None:
    """Blend `colour` into a picture where `mask` is True, by its share, a number or (pixels, 1)."""
    picture[mask] += share * (np.array(matplotlib.colors.to_rgb(colour), np.float32) - picture[mask])


def scale_bar_mm(side_mm: float) -> float:
    """Return the longest of 1, 2, 5, 10, ... mm that is at most a third of a side."""
    power = 10.0 ** np.floor(np.log10(side_mm / 3))
    return float(max(factor * power for factor in (1, 2, 5) if factor * power <= side_mm / 3))


def legend_of(panels: Sequence[Panel], doubt: DoubtMap | None) -> dict[str, str]:
    """Return the text of each colour of an area that is to be seen in any panel."""
    names = {FALSE_POSITIVE: "predicted, not in the reference", FALSE_NEGATIVE: "in the reference, not predicted"}
    names[OTHER_CLASS] = "predicted as another class"
    seen = {colour for panel in panels for colour, mask in panel.areas().items() if mask.any()}
    shown = {colour: name for colour, name in names.items() if colour in seen}
    has_reference = any(panel.reference is not None for panel in panels)
    return shown if has_reference or doubt is None else {DOUBT: doubt.name}
