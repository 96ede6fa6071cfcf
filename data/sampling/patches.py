"""Sampling of patches for training: voxel, plane, part of the volume.

A patch is a square of a slice, or a cube. It has a sample area, which the network classifies, in the middle of an input
area, which it reads:

    input   i i i s s s s i i i        input = sample + receptive field - 1 where nothing is padded
    sample        s s s s              (here: sample 4, receptive field 7)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from base.errors import InputError
from base.label_classes import IGNORED
from base.planes import planes_of
from data.intensities import scale
from data.sampling.augmentation import SampledAugmentation
from data.sampling.recent_cases import RecentCases
from data.sampling.training_cases import TrainingCase

ALL_PLANES = (0, 1, 2)
_THICK_SLICES = 3  # beyond this ratio of spacings only axial planes are trained on

# First words of the seeds of independent streams of random numbers.
TRAINING_STREAM, VALIDATION_STREAM = 1, 2


def choose_planes(
    planes: str, spacings_mm: Sequence[tuple[float, ...]], shapes: Sequence[tuple[int, ...]]
) -> tuple[int, ...]:
    """Return the axes along which slices are taken, for ``--planes`` auto, axial or all; all triples are (z, y, x).

    auto leaves out planes whose slices are lines in more than half of the volumes, and, where voxels are long along z,
    all but axial ones, if those are left.
    """
    if planes != "auto":
        return (0,) if planes == "axial" else ALL_PLANES
    suited = np.array([[plane in planes_of(shape, ALL_PLANES) for plane in ALL_PLANES] for shape in shapes]).sum(axis=0)
    chosen = tuple(plane for plane in ALL_PLANES if suited[plane] >= min(len(shapes) / 2, suited.max()))
    thick = np.median([spacing[0] / max(spacing[1:]) for spacing in spacings_mm]) > _THICK_SLICES
    return (0,) if thick and 0 in chosen else chosen


@dataclass(frozen=True)
class PatchOptions:
    """Options of patch sampling.

    Attributes:
        dimensions: 2 for slices, 3 for boxes.
        sample_size, input_size: sides of the two areas, in voxels.
        planes: array axes that may be the normal of a slice, unless its slices are lines in the case.
        criterion: ``entire-sample-area``, where the sampled voxel lies anywhere in the sample area, or
            ``patch-center-voxel``.
        ratios: chance of each class, in any unit.
        batch_size: patches a batch.
        background_share: share of the patches sampled for the background that hold no foreground: the cases' index has
            a group of such voxels, after the classes; None: as sampling gives it.
        inside: shift patches into the volume, or a smaller volume into the patch's middle, as windows lie in
            prediction; the sampled voxel stays in the patch.
    """

    dimensions: int
    sample_size: int
    input_size: int
    planes: tuple[int, ...]
    criterion: str
    ratios: tuple[float, ...]
    batch_size: int
    background_share: float | None = None
    inside: bool = False


@dataclass(frozen=True)
class Batch:
    """Patches as numpy arrays, the axes of the patch (two or three) last.

    Attributes:
        image: float32 (patches, channels, input, ...).
        reference: uint8 (patches, sample, ...) class indices, `IGNORED` outside the image or without a reference.
        soft: uint8 (patches, classes, sample, ...) in units of 1/255, all 0 outside the image; None for training on
            references alone.
        deviation: uint8 (patches, sample, ...) in units of 1/510, the ensemble's; None where it is not learnt.
        augmentation: transforms to apply; None for none. With transforms, areas are enlarged by the same number of
            voxels at both ends of an axis; voxels that no transform reaches are left at the padding value or 0.
    """

    image: np.ndarray
    reference: np.ndarray
    soft: np.ndarray | None
    deviation: np.ndarray | None
    augmentation: SampledAugmentation | None


@dataclass(frozen=True)
class Places:
    """Positions of n patches with d axes.

    Attributes:
        cases: int (n,), numbers of the cases.
        axes: int (n, d), the array axes along the patch's.
        starts: int (n, 3), the first voxel (z, y, x) of the sample area.
    """

    cases: np.ndarray
    axes: np.ndarray
    starts: np.ndarray

    def part(self, which: slice) -> "Places":
        return Places(self.cases[which], self.axes[which], self.starts[which])


class PatchSampler:
    """Samples batches of patches. Batch `number` depends on the seed and that number alone, not on earlier batches.

    Args:
        seed: words of the seed; independent streams differ in the first.
        sample_augmentation: of a generator and the spacings (patches, axes), gives the transforms of a batch; None
            leaves patches as they are.
        may_lack: whether groups that no case holds are left out, as long as some case holds another group.

    Raises:
        InputError: no case holds a class whose ratio is above 0, or background enough for `background_share`.
    """

    def __init__(
        self,
        cases: Sequence[TrainingCase],
        class_names: Sequence[str],
        options: PatchOptions,
        seed: tuple[int, ...],
        sample_augmentation: Callable[[np.random.Generator, np.ndarray], SampledAugmentation] | None = None,
        may_lack: bool = False,
    ):
        self.options = options
        self._cases = cases
        self._seed = seed
        self._draw_augmentation = sample_augmentation
        # Voxels are sampled by group: a class, or the background far from all foreground.
        groups = [(name, "--classes") for name in class_names]
        chances = np.asarray(options.ratios, float) / np.sum(options.ratios)
        if options.background_share is not None:
            groups.append((f"{class_names[0]} {options.sample_size} voxels from all others", "--background-share"))
            share = options.background_share
            chances = np.append(chances * [1 - share, *[1] * (len(chances) - 1)], chances[0] * share)
        self._counts = np.stack([case.index.counts for case in cases], axis=1)  # (groups, cases)
        holds = self._counts > 0
        self._number_of_holders = holds.sum(axis=1)
        self._holders = np.argsort(~holds, axis=1, kind="stable")  # of each group, those that hold it first
        held = chances * (self._number_of_holders > 0)
        if may_lack and held.any():
            chances = held
        for (name, option), chance, holders in zip(groups, chances, self._number_of_holders):
            if chance > 0 and not holders:
                raise InputError(option, f"no case holds class {name}", "give it the balance ratio or share 0")
        self._up_to = np.cumsum(chances) / np.sum(chances)
        self._shapes = np.array([case.shape for case in cases])
        self._planes = [planes_of(case.shape, options.planes) for case in cases]
        self._spacings_mm = np.array([case.spacing_mm for case in cases], np.float32)
        self._scalings = np.array([case.scalings for case in cases], np.float32)  # (cases, channels, 4)
        self._recent = RecentCases(cases)

    def batch(self, number: int, rank: int = 0, count: int = 1) -> Batch:
        """Return batch `number`; of `count` processes that share it, the patches of process `rank`."""
        places, augmentation = self.places(number)
        mine = slice(rank, None, count)
        extra = augmentation.enlargement if augmentation else np.zeros(places.axes.shape[1])
        return self._cut(places.part(mine), augmentation and augmentation.part(mine), extra)

    def places(self, number: int) -> tuple[Places, SampledAugmentation | None]:
        """Return where the patches of batch `number` are cut, and how they are transformed."""
        rng = np.random.default_rng((*self._seed, number))
        places = self._sample_places(rng)
        spacings = np.take_along_axis(self._spacings_mm[places.cases], places.axes, axis=1)
        return places, self._draw_augmentation(rng, spacings) if self._draw_augmentation else None

    def _sample_places(self, rng: np.random.Generator) -> Places:
        """Sample for each patch the group, case, voxel, plane, and position of the voxel in the sample area."""
        n, side = self.options.batch_size, self.options.sample_size
        groups = self._up_to.searchsorted(rng.random(n), side="right")
        cases = self._holders[groups, rng.integers(self._number_of_holders[groups])]
        numbers = rng.integers(self._counts[groups, cases])
        sampled = zip(cases.tolist(), groups.tolist(), numbers.tolist())
        starts = np.array([self._recent.look_at(case).index.voxel(group, number) for case, group, number in sampled])
        axes = np.tile(np.arange(3), (n, 1))
        if self.options.dimensions == 2:
            shares = rng.integers(len(self.options.planes), size=n) / len(self.options.planes)
            own = [self._planes[case] for case in cases]
            normals = np.array([planes[int(share * len(planes))] for planes, share in zip(own, shares)])
            axes = axes[axes != normals[:, None]].reshape(n, 2)
        centred = self.options.criterion == "patch-center-voxel"
        offsets = np.full(axes.shape, side // 2) if centred else rng.integers(side, size=axes.shape)
        along = np.take_along_axis(starts, axes, axis=1) - offsets
        if self.options.inside:
            along = shift_inside(along, side, np.take_along_axis(self._shapes[cases], axes, axis=1))
        np.put_along_axis(starts, axes, along, axis=1)
        return Places(cases, axes, starts)

    def _cut(self, places: Places, augmentation: SampledAugmentation | None, extra: np.ndarray) -> Batch:
        """Cut the areas of the patches, enlarged by shares `extra` of their sides, as far as augmentation reads."""
        n, d = places.axes.shape
        first, options = self._cases[0], self.options
        image_sides, image_boxes = self._boxes(places, augmentation, options.input_size, extra)
        sides, boxes = self._boxes(places, augmentation, options.sample_size, extra)
        scalings = np.moveaxis(self._scalings[places.cases], 2, 0)
        low, high, mean, deviation = scalings.reshape(4, n, -1, *[1] * d)
        image = np.empty((n, scalings.shape[2], *image_sides), np.float32)
        image[...] = low  # the padding value
        reference = np.full((n, *sides), IGNORED, np.uint8)
        soft = np.zeros((n, len(first.soft), *sides), np.uint8) if first.soft is not None else None
        deviations = np.zeros((n, *sides), np.uint8) if first.deviation is not None else None
        for number, case in enumerate(map(self._recent.look_at, places.cases.tolist())):
            box, place = image_boxes[number]
            for channel, stored in enumerate(case.images):
                image[(number, channel, *place)] = stored[box]
            box, place = boxes[number]
            if case.labels is not None:
                reference[(number, *place)] = case.table.take(case.labels[box])
            if soft is not None:
                soft[(number, slice(None), *place)] = case.soft[(slice(None), *box)]
            if deviations is not None:
                deviations[(number, *place)] = case.deviation[box]
        scale(image, low, high, mean, deviation)
        return Batch(image, reference, soft, deviations, augmentation)

    def _boxes(self, places: Places, augmentation: SampledAugmentation | None, side: int, extra: np.ndarray):
        """Return where the areas of `side` are read, and where they go in the enlarged area.

        Returns:
            The sides of the enlarged area; of each patch, indices into the volume and into the area.

        volume        0 1 2 3 4 5 6 7 8 9
        area    . . . . . . . .             begins at -3, side 8
        read          0 1 2 3               [0:4] of the volume goes to [3:7] of the area: no transform needs the last
        """
        margins = (side - self.options.sample_size) // 2 + np.ceil(extra * side / 2).astype(int)
        enlarged = self.options.sample_size + 2 * margins
        corners = np.take_along_axis(places.starts, places.axes, axis=1) - margins
        unread = np.zeros_like(corners)
        if augmentation is not None:
            reach = (
                np.abs(augmentation.matrices).sum(axis=2) * (side - 1) / 2 + 1
            )  # to a neighbour of what is looked for
            unread = np.maximum(0, np.floor((enlarged - 1) / 2 - reach)).astype(int)
        shapes = np.take_along_axis(self._shapes[places.cases], places.axes, axis=1)
        lows = np.maximum(corners + unread, 0)
        highs = np.maximum(np.minimum(corners + enlarged - unread, shapes), lows)
        boxes = []
        arrays = (places.starts, places.axes, lows, highs, corners)
        for box, axes, low, high, corner in zip(*(array.tolist() for array in arrays)):
            for axis, first, end in zip(axes, low, high):
                box[axis] = slice(first, end)
            place = tuple(slice(first - begin, end - begin) for first, end, begin in zip(low, high, corner))
            boxes.append((tuple(box), place))
        return enlarged.tolist(), boxes


def shift_inside(starts: np.ndarray, side: int, extents: np.ndarray) -> np.ndarray:
    """Return starts of patches of `side`, shifted so that they lie inside axes of `extents` voxels.

    extent 6, side 4:   start -1 becomes 0, start 5 becomes 2
    extent 3, side 6:   every start becomes -1: the axis lies in the patch's middle
    """
    return np.where(side > extents, -((side - extents) // 2), np.clip(starts, 0, np.maximum(extents - side, 0)))


@dataclass(frozen=True)
class Slices:
    """Slices to show, around the one in their middle.

    Attributes:
        image: float32 (channels, z, y, x), normalized.
        padding_values: value, in each channel, of voxels beyond the image.
        reference: uint8 (z, y, x), class indices.
        case: name of the case.
        number: of the middle slice in the case, from 0.
        depth: number of slices of the case.
        spacing_mm: of the case's voxels, (z, y, x).
    """

    image: np.ndarray
    padding_values: tuple[float, ...]
    reference: np.ndarray
    case: str
    number: int
    depth: int
    spacing_mm: tuple[float, ...]


def busiest_slices(case: TrainingCase, count: int) -> Slices:
    """Return about `count` axial slices of a case, the one with the most foreground in their middle."""
    number = int(np.argmax([_foreground_voxels(case.table[labels]) for labels in case.labels]))
    depth = case.shape[0]
    half = min(count // 2, number, depth - 1 - number)
    part = slice(number - half, number + half + 1)
    image = np.stack([scaling.apply(stored[part]) for scaling, stored in zip(case.scalings, case.images)])
    padding_values = tuple(scaling.padding_value for scaling in case.scalings)
    reference = case.table[case.labels[part]]
    slices = Slices(image, padding_values, reference, case.name, number, depth, case.spacing_mm)
    case.release()
    return slices


def _foreground_voxels(classes: np.ndarray) -> int:
    return np.count_nonzero((classes > 0) & (classes != IGNORED))
