"""Cases on disk as training reads them, a part at a time: made once, shared by all trainings in SAVE.

    SAVE/cache/<case>/volumes[_<channel>]       image and labels, not compressed, and what normalization must know
                      soft_<soft labels>        of an ensemble
                      deviation_<soft labels>
                      index_<drawing>           runs of voxels by which patches are drawn
                      verified_<original>       which file was found to hold what stage 1 resampled

<case> is a digest of the sums that stage 1 recorded, the others of all that decides the content. Everything here may be
deleted at any time: what is missing, damaged, or made of files that changed since, is made again when it is needed.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from base.intensity_records import IntensityRange, Normalization
from base.label_classes import LabelClasses
from data.case_folder import RESAMPLED_REFERENCE, resampled_image_name
from data.cases import Case
from data.intensities import Scaling, decide_normalization, foreground_sample, own_scaling, scaling_of
from data.intensity_range import in_unit, intensity_range_of
from data.sampling.training_cases import TrainingCase, drawing_classes
from data.sampling.voxel_index import VoxelIndex, find_runs, groups_of_voxels
from data.soft_labels import SoftLabels
from data.stored_arrays import StoredArrays, stored
from data.swapped_channels import features_of, swapped_channels

_CASES_IN_FULL = 50  # whose foregrounds count with all of their samples


@dataclass(frozen=True)
class Drawing:
    """Options of the index of voxels from which patches are drawn; see `groups_of_voxels`."""

    classes: LabelClasses
    apart: int | None = None
    around: int | None = None

    @property
    def number_of_groups(self) -> int:
        return len(self.classes) + (self.apart is not None)


@dataclass(frozen=True)
class TrainingLabels:
    """Soft labels that cases are trained on, with their `record`.

    `with_deviation` tells whether their standard deviation is learned, too.
    """

    soft_labels: SoftLabels
    record: dict
    with_deviation: bool = False


def stored_volumes(cache: Path, case: Case, channel: str) -> StoredArrays:
    """Return `image`, `labels` and a `foreground` sample of a channel of a case in the folder `cache`.

    The channel's scalings are the facts.

    Raises:
        InputError: the resampled files are not as stage 1 wrote them.
    """

    def make():
        image = case.stored_image(channel)
        arrays = {"image": image if np.can_cast(image.dtype, np.float32) else image.astype(np.float32)}
        if case.has_reference:
            arrays["labels"] = case.resampled_reference()
            arrays["foreground"] = foreground_sample(arrays["image"], arrays["labels"])
        image = image.astype(np.float32)
        return arrays, {kind: own_scaling(kind, image) for kind in ("zscore", "none")}

    paths = [case.folder / resampled_image_name(channel)]
    paths += [case.folder / RESAMPLED_REFERENCE] * case.has_reference
    name = f"volumes_{_digest(channel)}" if channel else "volumes"
    return stored(case_folder(cache, case) / name, _stamps(paths), make)


def settle_normalization(cache: Path, kind: str, channel: str, cases: Iterable[Case]) -> Normalization:
    """Decide the normalization of a channel on `cases`, with the folder `cache`."""
    volumes = [stored_volumes(cache, case, channel) for case in cases]

    def samples() -> Iterator[np.ndarray]:
        for one in volumes:
            if "foreground" in one.arrays:
                yield one.arrays["foreground"]
                one.release()

    return decide_normalization(kind, [Scaling(*one.facts["none"]).low for one in volumes], samples())


def intensity_range(cache: Path, kind: str, channel: str, cases: Sequence[Case]) -> IntensityRange:
    """Return the intensities of a channel of `cases`, for a normalization of `kind`, with the folder `cache`."""
    volumes = [stored_volumes(cache, case, channel) for case in cases]
    own = [Scaling(*one.facts["zscore"]) for one in volumes]
    step = -(-len(volumes) // _CASES_IN_FULL)

    def foregrounds() -> Iterator[np.ndarray]:
        for one, scaling in zip(volumes, own):
            if "foreground" in one.arrays:
                yield in_unit(kind, one.arrays["foreground"][::step].astype(np.float32), scaling)
                one.release()

    ranges = [tuple(in_unit(kind, np.array([scaling.low, scaling.high]), scaling)) for scaling in own]
    return intensity_range_of(kind, ranges, foregrounds())


def find_swapped_channels(cache: Path, channels: Sequence[str], cases: Sequence[Case]) -> list[tuple[Case, str, str]]:
    """Return the cases of which two channels seem to be swapped, with these channels, with the folder `cache`."""
    features = {}
    for channel in channels:
        features[channel] = []
        for case in cases:
            volumes = stored_volumes(cache, case, channel)
            foreground = volumes.arrays.get("foreground", np.empty(0))
            features[channel].append(features_of(Scaling(*volumes.facts["zscore"]), foreground))
            volumes.release()
    return [(cases[number], one, other) for number, one, other in swapped_channels(features)]


def open_case(
    cache: Path,
    case: Case,
    normalizations: Mapping[str, Normalization],
    drawing: Drawing,
    training_labels: TrainingLabels | None,
) -> TrainingCase:
    """Open a case for patches to be cut from it, with the folder `cache`, where it is kept from then on.

    Args:
        normalizations: of each channel that is read, by its name.

    Raises:
        InputError: the resampled files are not as stage 1 wrote them, or the soft labels do not suit them.
    """
    folder, volumes = case_folder(cache, case), [stored_volumes(cache, case, channel) for channel in normalizations]
    images, labels = tuple(one.arrays["image"] for one in volumes), volumes[0].arrays.get("labels")
    files = list(volumes)
    soft, deviation, drawn_by = None, None, {}
    if training_labels:
        soft_labels, maker = training_labels.soft_labels, _digest(training_labels.record)
        stamps = _stamps(soft_labels.paths(case))
        files.append(
            stored(
                folder / f"soft_{maker}",
                stamps,
                # The classes of a voxel side by side: a patch lies in fewer pages then.
                lambda: ({"soft": np.moveaxis(soft_labels.read_mean(case), 0, -1)}, None),
            )
        )
        soft = np.moveaxis(files[-1].arrays["soft"], -1, 0)
        if training_labels.with_deviation:
            files.append(
                stored(
                    folder / f"deviation_{maker}",
                    stamps,
                    lambda: ({"deviation": soft_labels.read_deviation(case)}, None),
                )
            )
            deviation = files[-1].arrays["deviation"]
        if labels is None or case.ignore_label is not None:
            drawn_by = {"soft labels": maker, "files": stamps}
    table = np.frombuffer(drawing.classes.table(), np.uint8)

    def make_index():
        classes = drawing_classes(table, labels, soft)
        groups = groups_of_voxels(classes, len(drawing.classes), drawing.apart, drawing.around)
        starts, ends, bounds = find_runs(groups, drawing.number_of_groups)
        return {"starts": starts, "ends": ends}, bounds

    key = _digest([drawing.classes.to_json(), drawing.apart, drawing.around, drawn_by])
    files.append(stored(folder / f"index_{key}", None, make_index))
    index = VoxelIndex(images[0].shape, **files[-1].arrays, bounds=files[-1].facts)
    scalings = tuple(
        scaling_of(normalization, lambda kind, facts=one.facts: Scaling(*facts[kind]))
        for normalization, one in zip(normalizations.values(), volumes)
    )
    opened = TrainingCase(
        case.name, images, scalings, case.spacing_mm, table, labels, soft, deviation, index, tuple(files)
    )
    opened.release()  # what was looked at to index it
    return opened


def case_folder(cache: Path, case: Case) -> Path:
    """Return the folder of a case in the cache."""
    return cache / _digest(case.fingerprint)


def _digest(value) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:24]


def _stamps(paths: Sequence[Path]) -> list[list[int]]:
    """Return size and modification time of each file, by which changes are detected without reading."""
    statuses = [path.stat() for path in paths if path.exists()]
    return [[status.st_size, status.st_mtime_ns] for status in statuses]
