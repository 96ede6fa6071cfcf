"""Patches for training: which voxel, which plane, which part of the volume.

A patch has a sample area, which the network classifies, in the middle of an input area, which it reads:

    input   i i i s s s s i i i        input = sample + receptive field - 1 where nothing is padded
    sample        s s s s              (here: sample 4, receptive field 7)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from base.errors import InputError
from base.label_classes import IGNORED
from data.augmentation import AffineDraw, draw_light_augmentation, enlargement
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
        sample_size, input_size: sides of the two areas, in voxels.
        planes: array axes that may be a plane's normal.
        criterion: ``entire-sample-area`` (the drawn voxel lies anywhere in the sample area) or ``patch-center-voxel``.
        ratios: chance of each class, in any unit.
        batch_size: patches a batch.
    """

    sample_size: int
    input_size: int
    planes: tuple[int, ...]
    criterion: str
    ratios: tuple[float, ...]
    batch_size: int


@dataclass(frozen=True)
class Batch:
    """Patches as numpy arrays, the two axes of a plane last.

    Attributes:
        image: float32 (patches, input, input).
        reference: uint8 (patches, sample, sample) class indices, `IGNORED` outside the image or without a reference.
        soft: uint8 (patches, classes, sample, sample), all 0 outside the image or without soft labels; None for
            training on references alone.
        draw: the transform to apply to all of them; None where they are to stay as they are (then the areas are not
            enlarged).
    """

    image: np.ndarray
    reference: np.ndarray
    soft: np.ndarray | None
    draw: AffineDraw | None


class PatchSampler:
    """Draws batches of patches. Batch `number` depends on the seed and that number alone, not on earlier draws.

    Args:
        seed: words of the seed; they tell independent streams apart.
        augment: draw a transform for each patch, and enlarge the areas so that it can be applied.

    Raises:
        InputError: no case holds a class whose ratio is above 0.
    """

    def __init__(
        self,
        cases: Sequence[TrainingCase],
        class_names: Sequence[str],
        options: PatchOptions,
        seed: tuple[int, ...],
        augment: bool,
    ):
        self.options = options
        self._cases = cases
        self._class_count = len(class_names)
        self._chances = np.asarray(options.ratios, float) / np.sum(options.ratios)
        self._seed = seed
        self._augment = augment
        self._indices = [VoxelIndex(case.drawing_classes, self._class_count) for case in cases]
        self._holders = [
            [number for number, index in enumerate(self._indices) if index.count(c)] for c in range(self._class_count)
        ]
        for name, chance, holders in zip(class_names, self._chances, self._holders):
            if chance > 0 and not holders:
                raise InputError("--classes", f"no training case holds class {name}", "give it the balance ratio 0")

    def batch(self, number: int) -> Batch:
        """Batch `number`."""
        rng = np.random.default_rng((*self._seed, number))
        patches = [self._draw_patch(rng) for _ in range(self.options.batch_size)]
        spacings = np.array([spacing for *_, spacing in patches], np.float32)
        draw = draw_light_augmentation(rng, spacings) if self._augment else None
        extra = enlargement(spacings) if self._augment else 0.0
        parts = [self._cut(case, voxel, axis, offset, extra) for case, voxel, axis, offset, _ in patches]
        images, references, softs = zip(*parts)
        soft = np.stack(softs) if softs[0] is not None else None
        return Batch(np.stack(images), np.stack(references), soft, draw)

    def _draw_patch(self, rng: np.random.Generator):
        """Draw class, case, voxel, plane, and where in the sample area the voxel lies."""
        class_index = rng.choice(self._class_count, p=self._chances)
        case_number = rng.choice(self._holders[class_index])
        voxel = self._indices[case_number].draw(class_index, rng)
        axis = int(rng.choice(self.options.planes))
        side = self.options.sample_size
        centred = self.options.criterion == "patch-center-voxel"
        offset = (side // 2, side // 2) if centred else rng.integers(side, size=2)
        case = self._cases[case_number]
        spacing = [mm for other, mm in enumerate(case.spacing_mm) if other != axis]
        return case, voxel, axis, offset, spacing

    def _cut(self, case: TrainingCase, voxel, axis: int, offset, extra: float):
        """Cut the areas of one patch, each enlarged by the share `extra` of its side, out of a case."""
        start = np.array(voxel)
        plane = [other for other in range(3) if other != axis]
        start[plane] -= offset
        sample_size = self.options.sample_size

        def cut(volume, side, fill):
            margin = (side - sample_size) // 2 + int(np.ceil(extra * side / 2))
            corner, shape = start.copy(), np.ones(3, int)
            corner[plane] -= margin
            shape[plane] = sample_size + 2 * margin
            return _cut_box(volume, corner, shape, fill).squeeze(axis=volume.ndim - 3 + axis)

        image = cut(case.image, self.options.input_size, case.outside)
        reference_volume = case.reference
        if reference_volume is None:
            reference_volume = np.broadcast_to(np.uint8(IGNORED), case.image.shape)
        reference = cut(reference_volume, sample_size, IGNORED)
        soft = cut(case.soft, sample_size, 0) if case.soft is not None else None
        return image, reference, soft


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


def busiest_slice(case: TrainingCase) -> TrainingCase:
    """The axial slice of a case with the most foreground, as a volume of one slice."""
    number = int((case.reference > 0).sum(axis=(1, 2)).argmax())
    one = slice(number, number + 1)
    return replace(case, image=case.image[one], reference=case.reference[one])
