"""Facts about a case of a data set before stage 1: geometry, intensities, and the structures of its reference."""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from base.boxes import Box, bounding_box
from base.errors import InputError
from base.label_classes import IGNORED
from data.images.image_files import Grid, from_array, lps_grid, to_array
from data.layouts import SourceCase
from data.preparation import Limits, read_checked, reason_for_refusal

_PERCENTILES = (0.5, 50, 99.5)
_SAMPLED_VOXELS = 500_000  # enough for percentiles
_ALL_NEIGHBOURS = np.ones((3, 3, 3), bool)

Sides = tuple[float, float, float]  # (z, y, x) in mm


@dataclass(frozen=True)
class IntensityFacts:
    """Intensities of one channel of a scan: its lowest value, and its 0.5, 50 and 99.5 percentiles."""

    lowest: float
    low: float
    median: float
    high: float


@dataclass(frozen=True)
class StructureFacts:
    """One label of a reference. The extent of a component is the longest side of its bounding box.

    Attributes:
        voxels: number of voxels.
        volume_ml: volume in ml.
        components: number of connected components (26 neighbours).
        smallest_mm, largest_mm: extents of the smallest and the largest component.
        box_mm: sides of the bounding box of the largest component.
    """

    voxels: int
    volume_ml: float
    components: int
    smallest_mm: float
    largest_mm: float
    box_mm: Sides


@dataclass(frozen=True)
class ReferenceFacts:
    """A reference.

    Attributes:
        structures: by label; the background is none.
        background: number of voxels of label 0.
        annotated: share of the voxels that are annotated.
        box_mm: sides of the bounding box of all foreground; None without foreground.
        touches: axes (0 is z) at whose ends there is foreground.
    """

    structures: Mapping[int, StructureFacts]
    background: int
    annotated: float
    box_mm: Sides | None
    touches: tuple[int, ...]


@dataclass(frozen=True)
class CaseFacts:
    """A case. Triples are (z, y, x) in LPS orientation.

    Attributes:
        orientation: directions of the file's own axes, such as ``LPS``.
        channels: intensities by the name of the channel; a single channel has the name "".
        reference: None without one, or where nothing in it is annotated.
    """

    source: SourceCase
    orientation: str
    shape: tuple[int, int, int]
    spacing_mm: Sides
    channels: Mapping[str, IntensityFacts]
    reference: ReferenceFacts | None

    @property
    def name(self) -> str:
        return self.source.name


@dataclass(frozen=True)
class Refused:
    """A case that stage 1 would refuse, with the reason."""

    name: str
    problem: str


def examine_case(
    source: SourceCase, limits: Limits = lambda seconds, size: contextlib.nullcontext()
) -> CaseFacts | Refused:
    """Read scan and reference of `source` with the checks of stage 1, and return facts about them; nothing is written.

    Args:
        limits: returns a context manager that limits time and memory while a file is read.
    """
    try:
        return _examine(source, limits)
    except Exception as error:  # any failure on one file must not stop the other cases
        return Refused(source.name, reason_for_refusal(error, source))


def _examine(source: SourceCase, limits: Limits) -> CaseFacts:
    if source.problem:
        raise InputError(source.image, source.problem)
    scan, _, labels = read_checked(source, limits)
    image = next(iter(scan.values()))  # whose grid is that of the case
    orientation = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    grid = lps_grid(image)
    reference = None
    if labels is not None and not (labels == IGNORED).all():
        oriented = to_array(from_array(labels, Grid.of(image)))
        reference = facts_of_reference(oriented, grid.spacing_mm)
    channels = {name: _facts_of_intensities(sitk.GetArrayViewFromImage(one)) for name, one in scan.items()}
    return CaseFacts(source, orientation, grid.shape, grid.spacing_mm, channels, reference)


def _facts_of_intensities(image: np.ndarray) -> IntensityFacts:
    sample = image.reshape(-1)[:: max(1, image.size // _SAMPLED_VOXELS)]
    return IntensityFacts(float(image.min()), *np.percentile(sample, _PERCENTILES).tolist())


def facts_of_reference(labels: np.ndarray, spacing_mm: Sides) -> ReferenceFacts:
    """Return facts about a reference, uint8 (z, y, x), `IGNORED` where it is not annotated."""
    counts = np.bincount(labels.reshape(-1), minlength=256)
    box = bounding_box((labels > 0) & (labels != IGNORED))
    has_foreground = any(part.stop > part.start for part in box)
    touches = [axis for axis, (part, size) in enumerate(zip(box, labels.shape)) if part.start == 0 or part.stop == size]
    boxes = ndimage.find_objects(np.where(labels == IGNORED, 0, labels))
    return ReferenceFacts(
        {
            label: _facts_of_structure(labels[place] == label, spacing_mm)
            for label, place in enumerate(boxes, start=1)
            if place is not None
        },
        int(counts[0]),
        1 - float(counts[IGNORED] / labels.size),
        _sides_mm(box, spacing_mm) if has_foreground else None,
        tuple(touches) if has_foreground else (),
    )


def _facts_of_structure(mask: np.ndarray, spacing_mm: Sides) -> StructureFacts:
    """Return facts about a structure, bool (z, y, x), which is not empty."""
    components, count = ndimage.label(mask, _ALL_NEIGHBOURS)
    sides_mm = [_sides_mm(box, spacing_mm) for box in ndimage.find_objects(components)]
    extents_mm = [max(sides) for sides in sides_mm]
    largest = int(np.bincount(components.reshape(-1))[1:].argmax())
    voxels = int(np.count_nonzero(mask))
    volume_ml = voxels * math.prod(spacing_mm) / 1000
    return StructureFacts(voxels, volume_ml, count, min(extents_mm), max(extents_mm), sides_mm[largest])


def _sides_mm(box: Box, spacing_mm: Sides) -> Sides:
    return tuple((part.stop - part.start) * mm for part, mm in zip(box, spacing_mm))
