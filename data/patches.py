"""Patches for training: which voxel, which plane, which part of the volume.

A patch is a square of a slice, or a cube. It has a sample area, which the network classifies, in the middle of an input
area, which it reads:

    input   i i i s s s s i i i        input = sample + receptive field - 1 where nothing is padded
    sample        s s s s              (here: sample 4, receptive field 7)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from base.errors import InputError
from base.label_classes import IGNORED
from data.augmentation import AugmentationDraw
from data.training_cases import TrainingCase

AXES = {"axial": 0, "coronal": 1, "sagittal": 2}  # array axis (z, y, x) along a plane's normal
_THICK_SLICES = 3  # beyond this ratio of spacings only axial planes are trained on

# First words of the seeds of independent streams of random numbers.
TRAINING_STREAM, VALIDATION_STREAM = 1, 2


def choose_planes(planes: str, spacings_mm: Sequence[tuple[float, ...]]) -> tuple[int, ...]:
    """Array axes along which slices are taken, for ``--planes`` auto, axial or all, given spacings (z, y, x)."""
    thick = np.median([spacing[0] / max(spacing[1:]) for spacing in spacings_mm]) > _THICK_SLICES
    return (0,) if planes == "axial" or (planes == "auto" and thick) else (0, 1, 2)


class VoxelIndex:
    """Voxels of each class of one volume, as runs of equal class along x.

    A volume has far fewer runs than voxels, and a uniform draw is a binary search among them: the same time however
    rare the class.
    """

    def __init__(self, classes: np.ndarray, number_of_classes: int):
        flat = classes.ravel()
        starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
        lengths = np.diff(starts, append=flat.size)
        run_classes = flat[starts]
        self._shape = classes.shape
        self._starts = [starts[run_classes == c] for c in range(number_of_classes)]
        self._ends = [np.cumsum(lengths[run_classes == c]) for c in range(number_of_classes)]

    def count(self, class_index: int) -> int:
        """Number of voxels of a class."""
        return int(self._ends[class_index][-1]) if len(self._ends[class_index]) else 0

    def draw(self, class_index: int, rng: np.random.Generator) -> tuple[int, ...]:
        """Position (z, y, x) of a voxel of the class, all of them equally likely."""
        ends = self._ends[class_index]
        number = int(rng.integers(ends[-1]))
        run = int(np.searchsorted(ends, number, side="right"))
        past = number - (int(ends[run - 1]) if run else 0)
        return np.unravel_index(self._starts[class_index][run] + past, self._shape)


@dataclass(frozen=True)
class PatchOptions:
    """How patches are drawn.

    Attributes:
        dimensions: 2 for slices, 3 for boxes.
        sample_size, input_size: sides of the two areas, in voxels.
        planes: array axes that may be the normal of a slice.
        criterion: ``entire-sample-area`` (the drawn voxel lies anywhere in the sample area) or ``patch-center-voxel``.
        ratios: chance of each class, in any unit.
        batch_size: patches a batch.
        crop_to_labels: draw only voxels in the box around the foreground and one sample area beyond it.
        background_share: share of the patches drawn for the background that hold nothing else; None: as it comes.
        inside: shift patches into the volume, or a smaller volume into the patch's middle, as windows lie in
            prediction; the drawn voxel stays in the patch.
    """

    dimensions: int
    sample_size: int
    input_size: int
    planes: tuple[int, ...]
    criterion: str
    ratios: tuple[float, ...]
    batch_size: int
    crop_to_labels: bool = False
    background_share: float | None = None
    inside: bool = False


@dataclass(frozen=True)
class Batch:
    """Patches as numpy arrays, the axes of the patch (two or three) last.

    Attributes:
        image: float32 (patches, input, ...).
        reference: uint8 (patches, sample, ...) class indices, `IGNORED` outside the image or without a reference.
        soft: uint8 (patches, classes, sample, ...) in units of 1/255, all 0 outside the image; None for training on
            references alone.
        deviation: uint8 (patches, sample, ...) in units of 1/510, the ensemble's; None where it is not learnt.
        draw: the transform to apply to all of them; None where they are to stay as they are (then the areas are not
            enlarged).
    """

    image: np.ndarray
    reference: np.ndarray
    soft: np.ndarray | None
    deviation: np.ndarray | None
    draw: AugmentationDraw | None


class _Place(NamedTuple):
    """Where a patch is cut: a case, a voxel of it, the patch's axes, and the voxel's offset in the sample area."""

    case: TrainingCase
    voxel: tuple[int, ...]
    axes: tuple[int, ...]
    offset: np.ndarray


class PatchSampler:
    """Draws batches of patches. Batch `number` depends on the seed and that number alone, not on earlier draws.

    Args:
        seed: words of the seed; they tell independent streams apart.
        draw_augmentation: of a generator and the spacings (patches, axes), gives the transforms of a batch; None
            leaves patches as they are.

    Raises:
        InputError: no case holds a class whose ratio is above 0, or background enough for `background_share`.
    """

    def __init__(
        self,
        cases: Sequence[TrainingCase],
        class_names: Sequence[str],
        options: PatchOptions,
        seed: tuple[int, ...],
        draw_augmentation: Callable[[np.random.Generator, np.ndarray], AugmentationDraw] | None = None,
    ):
        self.options = options
        self._cases = cases
        self._seed = seed
        self._draw_augmentation = draw_augmentation
        # What is drawn is a group of voxels: a class, or the background far from everything else.
        names, chances = list(class_names), np.asarray(options.ratios, float) / np.sum(options.ratios)
        if options.background_share is not None:
            names.append(f"{names[0]} {options.sample_size} voxels from all others")
            share = options.background_share
            chances = np.append(chances * [1 - share, *[1] * (len(chances) - 1)], chances[0] * share)
        self._chances = chances
        self._indices = [VoxelIndex(groups_of_voxels(case.drawing_classes, options), len(names)) for case in cases]
        self._holders = [
            [number for number, index in enumerate(self._indices) if index.count(group)] for group in range(len(names))
        ]
        for name, chance, holders in zip(names, chances, self._holders):
            if chance > 0 and not holders:
                option = "--background-share" if " " in name else "--classes"
                raise InputError(option, f"no training case holds class {name}", "give it the balance ratio or share 0")

    def batch(self, number: int, rank: int = 0, count: int = 1) -> Batch:
        """Batch `number`, or every `count`-th of its patches, from number `rank` on."""
        rng = np.random.default_rng((*self._seed, number))
        places = [self._draw_place(rng) for _ in range(self.options.batch_size)]
        spacings = np.array([[place.case.spacing_mm[axis] for axis in place.axes] for place in places], np.float32)
        draw = self._draw_augmentation(rng, spacings) if self._draw_augmentation else None
        enlargement = draw.enlargement if draw else 0.0  # of the whole batch: a patch is the same in every share
        parts = [self._cut(place, enlargement) for place in places[rank::count]]
        arrays = [None if some[0] is None else np.stack(some) for some in zip(*parts)]
        return Batch(*arrays, draw and draw.share(rank, count))

    def _draw_place(self, rng: np.random.Generator) -> _Place:
        """Draw group, case, voxel, plane, and where in the sample area the voxel lies."""
        group = rng.choice(len(self._chances), p=self._chances)
        number = rng.choice(self._holders[group])
        voxel = self._indices[number].draw(group, rng)
        axes = (0, 1, 2)
        if self.options.dimensions == 2:
            normal = int(rng.choice(self.options.planes))
            axes = tuple(axis for axis in axes if axis != normal)
        side = self.options.sample_size
        centred = self.options.criterion == "patch-center-voxel"
        offset = np.full(len(axes), side // 2) if centred else rng.integers(side, size=len(axes))
        return _Place(self._cases[number], voxel, axes, offset)

    def _cut(self, place: _Place, extra: float):
        """Cut the areas of one patch, each enlarged by the share `extra` of its side, out of a case."""
        axes = list(place.axes)
        start = np.array(place.voxel)
        start[axes] -= place.offset
        sample_size = self.options.sample_size
        if self.options.inside:
            start[axes] = [shift_inside(start[axis], sample_size, place.case.image.shape[axis]) for axis in axes]
        flat = [axis for axis in range(3) if axis not in axes]

        def cut(volume, side, fill):
            margin = (side - sample_size) // 2 + int(np.ceil(extra * side / 2))
            corner, shape = start.copy(), np.ones(3, int)
            corner[axes] -= margin
            shape[axes] = sample_size + 2 * margin
            return _cut_box(volume, corner, shape, fill).squeeze(axis=tuple(volume.ndim - 3 + axis for axis in flat))

        case = place.case
        image = cut(case.image, self.options.input_size, case.outside)
        reference_volume = case.reference
        if reference_volume is None:
            reference_volume = np.broadcast_to(np.uint8(IGNORED), case.image.shape)
        reference = cut(reference_volume, sample_size, IGNORED)
        soft = cut(case.soft, sample_size, 0) if case.soft is not None else None
        deviation = cut(case.deviation, sample_size, 0) if case.deviation is not None else None
        return image, reference, soft, deviation


def shift_inside(start: int, side: int, extent: int) -> int:
    """Where a patch of `side` that was to start at `start` starts, if it is to lie inside an axis of `extent` voxels.

    extent 6, side 4:   start -1 becomes 0, start 5 becomes 2
    extent 3, side 6:   every start becomes -1: the axis lies in the patch's middle
    """
    if side > extent:
        return -((side - extent) // 2)
    return min(max(start, 0), extent - side)


def groups_of_voxels(classes: np.ndarray, options: PatchOptions) -> np.ndarray:
    """Which group each voxel is drawn with, uint8 (z, y, x): its class, or `IGNORED` where it is not drawn.

    With `background_share`, background whose sample area holds nothing else, wherever the voxel lies in it, is a group
    of its own, after the classes. Along axes of which the patch has none, it may be nearer.
    """
    foreground = (classes > 0) & (classes != IGNORED)
    groups = classes
    if options.background_share is not None:
        distance = ndimage.distance_transform_cdt(~foreground, "chessboard") if foreground.any() else np.inf
        groups = np.where((classes == 0) & (distance >= options.sample_size), np.uint8(len(options.ratios)), groups)
    if options.crop_to_labels and foreground.any():
        (box,) = ndimage.find_objects(foreground.astype(np.uint8))
        inside = tuple(slice(max(0, one.start - options.sample_size), one.stop + options.sample_size) for one in box)
        cropped = np.full_like(groups, IGNORED)
        cropped[inside] = groups[inside]
        groups = cropped
    return groups


def _cut_box(volume: np.ndarray, corner: np.ndarray, shape: np.ndarray, fill) -> np.ndarray:
    """Copy the box at `corner` of `shape` out of the last three axes of `volume`; `fill` where it reaches beyond.

    volume      0 1 2 3 4 5 6 7 8 9
    box   . . . 0 1 2 3                 corner -3, shape 7: box[3:7] = volume[0:4]
    """
    low = np.maximum(corner, 0)
    high = np.minimum(corner + shape, volume.shape[-3:])
    box = np.full((*volume.shape[:-3], *shape), fill, volume.dtype)
    if (low < high).all():
        source = tuple(slice(a, b) for a, b in zip(low, high))
        target = tuple(slice(a, b) for a, b in zip(low - corner, high - corner))
        box[(..., *target)] = volume[(..., *source)]
    return box


def busiest_slices(case: TrainingCase, count: int) -> TrainingCase:
    """About `count` axial slices of a case, the one with the most foreground in their middle, as a small volume."""
    number = int((case.reference > 0).sum(axis=(1, 2)).argmax())
    half = min(count // 2, number, len(case.image) - 1 - number)
    part = slice(number - half, number + half + 1)
    return replace(case, image=case.image[part], reference=case.reference[part])
