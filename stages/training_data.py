"""Data of a training: its cases and soft labels, the description of the network, the streams of batches."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tqdm import tqdm

from base.errors import InputError
from base.label_classes import LabelClasses, notice, resolve, with_titles
from base.scan_ranges import ScanRange
from data.cases import Case, check_channels, check_one_voxel_size, find_cases, shared_patients, with_reference
from data.sampling.augmentation import STRENGTHS, sample_augmentation
from data.sampling.batches import BatchStream, TensorBatch
from data.sampling.case_cache import (
    Drawing,
    TrainingLabels,
    find_swapped_channels,
    intensity_range,
    open_case,
    settle_normalization,
)
from data.sampling.patches import (
    TRAINING_STREAM,
    VALIDATION_STREAM,
    PatchOptions,
    PatchSampler,
    Slices,
    busiest_slices,
    choose_planes,
)
from data.sampling.training_cases import TrainingCase, fingerprint
from data.soft_labels import SoftLabels, find_soft_labels, soft_label_folder
from data.split import outside_fold
from networks.description import NetworkDescription
from stages.training_options import TrainingOptions
from utils.cli.options import recorded_options
from utils.runtime.processes import Processes
from utils.training.experiment import Begun

_VALIDATION_VOXELS = 100_000  # classified in each validation, in at least and at most so many patches:
_VALIDATION_PATCHES = {2: (40, 400), 3: (16, 100)}


@dataclass(frozen=True)
class TrainingData:
    """Cases and soft labels of a training.

    Attributes:
        train_cases: cases to train on.
        val_cases: cases to validate on; each has a reference.
        channels: that the network reads, in order.
        classes: classes, and the labels that each unites in these data.
        soft_labels: of the training cases; None for training on references alone, and for a finished student.
        soft_record: record of the soft labels (plain values); None for training on references alone.
    """

    train_cases: list[Case]
    val_cases: list[Case]
    channels: tuple[str, ...]
    classes: LabelClasses
    soft_labels: SoftLabels | None
    soft_record: dict | None


@dataclass(frozen=True)
class Streams:
    """Batches of a training.

    Attributes:
        batches: stream of this process's share of the training batches.
        validation: this process's share of the validation batches.
        shown: slices of a validation case, for the validation picture.
    """

    batches: BatchStream
    validation: list[TensorBatch]
    shown: Slices


def find_training_data(options: TrainingOptions, begun: Begun) -> TrainingData:
    """Find the cases of a training, and the soft labels of a student. Prints notes about both.

    Raises:
        InputError: cases or soft labels are missing, or do not suit the options.
    """
    train_cases = find_cases(options.data, "train")
    val_cases = with_reference(find_cases(options.data, "val"))
    check_one_voxel_size([*train_cases, *val_cases])
    labels = set().union(*(case.labels for case in train_cases))
    if not options.soft:
        with_reference(train_cases)  # raises if there is none in any fold
    train_cases = outside_fold(train_cases, options.fold)
    soft_labels, soft_record = None, None
    if options.soft:
        try:
            soft_labels, soft_record = _find_soft_labels(options, train_cases)
            classes = soft_labels.classes  # which the references of a few cases need not show
        except InputError:
            if not begun.is_finished_student:
                raise
            classes, soft_record = begun.classes, begun.record["soft_labels"]
    else:
        _check_ignore_labels(options.classes, [*train_cases, *val_cases])
        classes = resolve(options.classes, labels, options.data / "train")
        train_cases = [case for case in train_cases if case.has_reference]
        if not train_cases:
            raise InputError("--fold", "no case outside this fold has a reference", "choose another, or leave it out")
    if options.class_names:
        classes = with_titles(classes, options.class_names, "--class-names")
    if message := notice(classes, labels):
        print(message)
    if shared := shared_patients(train_cases, val_cases):
        print(f"note: patients with cases in train and in val: {len(shared)}, such as {shared[0]}; validation flatters")
    channels = _settle_channels(options.channels, [*train_cases, *val_cases])
    return TrainingData(train_cases, val_cases, channels, classes, soft_labels, soft_record)


def _settle_channels(given: tuple[str, ...] | None, cases: Sequence[Case]) -> tuple[str, ...]:
    """Return the channels to read: those `given`, or all that the cases have.

    Raises:
        InputError: a case lacks one, or cases have different channels and none are given.
    """
    if given:
        check_channels(cases, given, "--channels")
        return given
    channels = cases[0].channels
    for case in cases:
        if set(case.channels) != set(channels):
            sets = (f"{one.folder} has {', '.join(one.channels) or 'one without a name'}" for one in (cases[0], case))
            raise InputError("--channels", f"cases have different channels: {', '.join(sets)}", "name those to read")
    return channels


def _check_ignore_labels(classes: LabelClasses, cases: Sequence[Case]) -> None:
    """Raise InputError where a class is the label of voxels that are not annotated."""
    ignored = {case.ignore_label for case in cases}
    for name, labels in zip(classes.names, classes.labels):
        if ignored.intersection(labels):
            problem = f"class {name} is the label of voxels that are not annotated (--ignore-label of stage 1)"
            raise InputError("--classes", problem, "leave it out")


def _find_soft_labels(options: TrainingOptions, cases: Sequence[Case]) -> tuple[SoftLabels, dict]:
    folder = options.soft_labels or soft_label_folder(options.save, options.classes)
    command = f"python ensemble.py -d {options.data} -s {options.save} -e train --classes {options.classes}"
    command += f" --soft-labels {options.soft_labels}" if options.soft_labels else ""
    remedy = f"make them with: {command}"
    return find_soft_labels(folder / "train", options.classes, options.temperature, cases, remedy)


def describe(options: TrainingOptions, data: TrainingData, processes: Processes) -> NetworkDescription:
    """Return the description of the network to train, with the normalization decided on the training cases."""
    cache, architecture = options.save / "cache", options.network
    kinds = _kinds_of(options.normalization, data.channels)
    normalizations = []
    for channel, kind in zip(data.channels, kinds):
        with tqdm(data.train_cases, f"reading {channel}".strip(), unit="case", disable=not processes.is_first) as cases:
            normalizations.append(settle_normalization(cache, kind, channel, cases))
    for case, one, other in find_swapped_channels(cache, data.channels, data.train_cases):
        if processes.is_first:
            message = f"its intensities of {one} and {other} look like those of the other in most cases: swapped files?"
            print(f"warning: {case.folder}: {message}", file=sys.stderr)
    grids = [case.grid for case in data.train_cases]
    planes = choose_planes(options.planes, [grid.spacing_mm for grid in grids], [grid.shape for grid in grids])
    return NetworkDescription(
        experiment=options.experiment,
        architecture=architecture.name,
        receptive_field=options.receptive_field_size,
        **architecture.options(options.features, options.dropout, options.deep_supervision),
        predicts_uncertainty=options.predict_uncertainty,
        sample_size=options.sample_size,
        planes=planes if architecture.dimensions == 2 else (),
        classes=data.classes,
        channels=data.channels,
        normalizations=tuple(normalizations),
        intensities=tuple(
            intensity_range(cache, one.kind, channel, data.train_cases)
            for channel, one in zip(data.channels, normalizations)
        ),
        scans=ScanRange.of((case.original_grid.spacing_mm, case.original_grid.shape) for case in data.train_cases),
        voxel_size_mm=data.train_cases[0].voxel_size_mm,
        iterations=options.iterations,
        seed=options.seed,
        fold=options.fold,
        training_cases=[case.name for case in data.train_cases],
        training_patients=sorted({case.patient for case in data.train_cases}),
        validation_cases=[case.name for case in data.val_cases],
        data_fingerprint=fingerprint([*data.train_cases, *data.val_cases]),
        soft_labels=data.soft_record or None,
        options=recorded_options(options),
    )


def _kinds_of(normalization: str, channels: Sequence[str]) -> list[str]:
    """Return the kind of normalization of each channel, as ``--normalization`` says."""
    kinds = normalization.split(",")
    if len(kinds) not in (1, len(channels)):
        problem = f"{len(kinds)} kinds for {len(channels)} channels"
        raise InputError("--normalization", problem, "give one, or one for each channel in the order of --channels")
    return kinds * len(channels) if len(kinds) == 1 else kinds


def open_streams(
    options: TrainingOptions, data: TrainingData, description: NetworkDescription, processes: Processes, pinned: bool
) -> Streams:
    """Open the cases, and return the streams of batches.

    Args:
        pinned: whether batches are made in memory that CUDA devices read by themselves.
    """
    cache, network = options.save / "cache", options.network
    sampling = _patch_options(options, description)
    augment = None
    if options.augmentation != "none":
        augment = partial(
            sample_augmentation, STRENGTHS[options.augmentation], flip=options.flip, channels=len(data.channels)
        )
    drawing = Drawing(
        data.classes,
        apart=None if options.background_share is None else options.sample_size,
        around=options.sample_size if options.crop_to_labels else None,
    )
    labels, normalizations = None, dict(zip(description.channels, description.normalizations))
    if data.soft_labels:
        labels = TrainingLabels(data.soft_labels, data.soft_record, options.predict_uncertainty)

    def load(cases: Sequence[Case], labels: TrainingLabels | None = None) -> list[TrainingCase]:
        with tqdm(cases, "indexing", unit="case", disable=not processes.is_first) as bar:
            return [open_case(cache, case, normalizations, drawing, labels) for case in bar]

    training = load(data.train_cases, labels)
    sampler = PatchSampler(training, data.classes.names, sampling, (TRAINING_STREAM, options.seed), augment)
    batches = BatchStream(sampler, processes.rank, processes.count, pinned=pinned)
    validation = load(data.val_cases)
    # A class that no validation case holds is no reason not to train.
    fixed = BatchStream(PatchSampler(validation, data.classes.names, sampling, (VALIDATION_STREAM, 0), may_lack=True))
    fewest, most = _VALIDATION_PATCHES[network.dimensions]
    patches = min(most, max(fewest, _VALIDATION_VOXELS // options.sample_size**network.dimensions))
    validation_batches = [fixed.make(number) for number in processes.share(range(-(-patches // options.batch_size)))]
    shown = busiest_slices(validation[0], 1 if network.dimensions == 2 else options.sample_size)
    return Streams(batches, validation_batches, shown)


def _patch_options(options: TrainingOptions, description: NetworkDescription) -> PatchOptions:
    network = options.network
    return PatchOptions(
        network.dimensions,
        options.sample_size,
        network.input_size(options.sample_size, options.receptive_field_size),
        description.planes,
        options.patch_inclusion_criteria,
        options.balance_ratios or (1,) * description.number_of_classes,
        options.batch_size,
        options.background_share,
        # A network that pads must see of the volume's margins in training what it will see in prediction.
        inside=network.pads and options.patch_inclusion_criteria == "entire-sample-area",
    )
