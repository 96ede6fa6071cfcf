"""Rules that turn facts about a data set into settings. docs/planning.md states each of them with its source.

Triples are (z, y, x). Each rule returns what it proposes, and a `Choice` that gives the reason and the figure for it.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from base.errors import InputError
from data.case_facts import Sides
from data.sampling.patches import choose_planes
from networks import Architecture, find_architecture
from stages.planning.data_set import ClassFacts, DataSet, largest_extent_mm
from stages.planning.settings import VIEWS, Choice, PlannedNetwork, Settings, voxels_of_patch

CONTEXT = 1.5  # a network sees 1.5 times the extent of a structure
THICK_SLICES = 3  # times the size of a voxel in the slice
FINEST_STRUCTURE = 4  # voxels across a small structure
LARGEST_SAMPLE = {2: 192, 3: 64}  # sides in voxels, of networks that pad, by dimensions
SMALLEST_SAMPLE = {2: 48, 3: 24}
VOXELS_A_STEP = {2: 2**16, 3: 2**17}  # read by a network in a training step
FEWEST_PATCHES = 2  # in a batch
VOXELS_IN_ALL = 400e6  # read by a network in its training
ITERATIONS = (3000, 12000)  # fewest and most
BYTES_A_VOXEL = 3000  # of memory in a training step, for each voxel that it reads
SHARE_OF_MEMORY = 0.5
FEW_PATIENTS = 30
HELD_OUT = 0.15  # share of the patients with references to validate, and to test
FEWEST_TO_TEST = 10  # patients with references, below which none is set aside to test
_IGNORED_SHARE = 0.5  # of the voxels
_LOSSES = ("CE+dice", "dice")


def propose(data_set: DataSet, split: dict[str, list[str]], split_choice: Choice, memory_bytes: float) -> Settings:
    """Apply all rules.

    Raises:
        InputError: there is nothing to learn from the references.
    """
    train = set(split["train"])
    classes = [one for one in data_set.classes if train & one.structures.keys()]
    if not classes:
        raise InputError("--plan", "no train reference has foreground", "check the references, and --ignore-label")
    names = ",".join(["0", *(str(one.label) for one in classes)])
    left_out = [str(one.label) for one in data_set.classes if one not in classes]
    reason = "all labels of the references"
    if left_out:
        reason = f"labels of the train references, none of which has {', '.join(left_out)}"
    classes_choice = Choice("classes", names, reason, describe_cases(data_set, classes))
    voxel_size, voxel_mm, voxel_choice = propose_voxel_size(data_set, classes)
    dimensions, planes, dimensions_choice = propose_dimensions(data_set, voxel_size, voxel_mm)
    networks, network_choices = propose_networks(data_set, classes, dimensions, planes, voxel_mm, memory_bytes)
    normalization, normalization_choice = propose_normalization(data_set)
    flip, augmentation_choice = propose_augmentation(dimensions, planes)
    choices = [voxel_choice, dimensions_choice, *network_choices, normalization_choice, augmentation_choice]
    choices += [classes_choice, propose_ignore_label(data_set), split_choice]
    choices += [propose_for_few_references(data_set, split)]
    return Settings(
        names,
        data_set.ignore_label,
        voxel_size,
        planes,
        tuple(networks),
        _LOSSES,
        normalization,
        flip,
        split,
        tuple(choices),
    )


def with_tried(settings: Settings, networks: Sequence[PlannedNetwork]) -> Settings:
    """Return the settings with the networks as they were tried, whose batches may be smaller."""
    return settings.changed(networks, training_choices(networks))


def propose_voxel_size(data_set: DataSet, classes: Sequence[ClassFacts]) -> tuple[tuple[str, str, str], Sides, Choice]:
    """Return ``--voxel-size``, and the size (z, y, x) in mm of the median case's new voxels.

    The median size, coarser only where the largest receptive field would not show the largest structure with its
    surroundings; thick slices stay as they are.
    """
    median_mm = np.median(data_set.spacings_mm, axis=0)
    extent_mm = largest_extent_mm(classes, (0, 1, 2))
    small_mm = min(float(np.percentile(one.boxes_mm.max(axis=1), 10)) for one in classes)
    widest = max(find_architecture("dil2D").receptive_fields)
    coarse_mm = min(CONTEXT * extent_mm / widest, small_mm / FINEST_STRUCTURE)
    z, y, x = map(_two_digits, np.maximum(median_mm, coarse_mm).tolist())
    figure = f"median voxel {_sides(median_mm)} mm, largest structure {extent_mm:.3g} mm"
    reason = "the median size, rounded down"
    if coarse_mm > max(median_mm[1:]):
        reason = f"coarser than the median, so that {widest} voxels show {CONTEXT:g} × the largest structure"
    if median_mm[0] > THICK_SLICES * max(y, x):
        words = (f"{x:g}", f"{y:g}", "none")
        reason += "; each scan's own slices, which are thick"
        z = float(median_mm[0])
    else:
        words = (f"{x:g}", f"{y:g}", f"{z:g}")
    return words, (z, y, x), Choice("voxel size", " ".join(words), reason, figure)


def propose_dimensions(data_set: DataSet, voxel_size: tuple[str, str, str], voxel_mm: Sides) -> tuple[int, str, Choice]:
    """Return 2 or 3 for the networks that pad, and ``--planes`` of the 2D networks.

    3D where a cube that can be trained on holds the foreground; 2D where slices are thick, or structures large.
    """
    shapes = [tuple(np.maximum(1, case // voxel_mm).astype(int)) for case in data_set.sides_mm]
    thick = voxel_size[2] == "none"
    chosen = choose_planes("auto", [voxel_mm] * len(shapes), shapes)
    planes = {(0,): "axial", (0, 1, 2): "all"}.get(chosen, "auto")
    side = wanted_sample(data_set, (0, 1, 2), voxel_mm)
    figure = (
        f"foreground with its surroundings {side:.0f} voxels, slices {voxel_mm[0] / max(voxel_mm[1:]):.2g} × as thick"
    )
    if thick or planes == "axial":
        choice = Choice("dimensions", "2D, axial planes", "slices are thick: their neighbours say little", figure)
        return 2, planes, choice
    if side > LARGEST_SAMPLE[3]:
        reason = f"the foreground does not fit into a cube of {LARGEST_SAMPLE[3]} voxels"
        return 2, planes, Choice("dimensions", f"2D, planes: {planes}", reason, figure)
    reason = "the foreground with its surroundings fits into a cube that can be trained on"
    return 3, planes, Choice("dimensions", f"3D; 2D networks in planes: {planes}", reason, figure)


def wanted_sample(data_set: DataSet, axes: Sequence[int], voxel_mm: Sides) -> float:
    """Return the side in voxels that shows the foreground of nine cases of ten with its surroundings.

    It is at most the middle side of the median field of view.
    """
    along = list(axes)
    boxes = data_set.foreground_boxes_mm[:, along] / np.array(voxel_mm)[along]
    field = np.median(data_set.sides_mm, axis=0)[along] / np.array(voxel_mm)[along]
    return float(min(CONTEXT * np.percentile(boxes.max(axis=1), 90), np.median(field)))


def propose_networks(
    data_set: DataSet,
    classes: Sequence[ClassFacts],
    dimensions: int,
    planes: str,
    voxel_mm: Sides,
    memory_bytes: float,
) -> tuple[list[PlannedNetwork], list[Choice]]:
    """Return three kinds of networks for an ensemble, with their receptive fields, samples, batches and iterations."""
    axes = (1, 2) if planes == "axial" else (0, 1, 2)
    field, field_choice = propose_receptive_field(data_set, classes, axes, voxel_mm)
    wanted = wanted_sample(data_set, axes, voxel_mm)
    side = _whole_sample(wanted, 16 if dimensions == 2 else 8, SMALLEST_SAMPLE[dimensions], LARGEST_SAMPLE[dimensions])
    dilated_side = _whole_sample(field / 2, 8, 8, field)
    unet, resnet, dilated = map(find_architecture, (f"UNet{dimensions}D", f"ResNet{dimensions}D", "dil2D"))
    small = {"features": 8, "deep_supervision": True} if dimensions == 3 else {}
    networks = [
        plan_training(unet, None, side, memory_bytes, **small),
        plan_training(resnet, None, side, memory_bytes),
        plan_training(dilated, field, dilated_side, memory_bytes),
    ]
    kinds = ", ".join(one.name for one in networks)
    samples = ", ".join(f"{one.name} {one.sample_size}" for one in networks)
    holds = "a patch holds the foreground" if wanted <= LARGEST_SAMPLE[dimensions] else "as large as can be trained on"
    held = f"the foreground with its surroundings is {wanted:.0f} voxels"
    return networks, [
        Choice("networks", f"{kinds}; losses {', '.join(_LOSSES)}", "three kinds and two losses", "as the paper"),
        field_choice,
        Choice("sample size", samples, f"{holds}; of dil2D, half the receptive field", held),
        *training_choices(networks),
    ]


def training_choices(networks: Sequence[PlannedNetwork]) -> list[Choice]:
    """Return the choices of batches and iterations."""
    batches = ", ".join(f"{one.name} {one.batch_size}" for one in networks)
    iterations = ", ".join(f"{one.name} {one.iterations}" for one in networks)
    read = ", ".join(f"{one.voxels_a_step:,}" for one in networks)
    gigabytes = max(one.voxels_a_step for one in networks) * BYTES_A_VOXEL / 1e9
    figure = f"{read} voxels a step, {gigabytes:.1g} GB at most"
    in_all = f"{VOXELS_IN_ALL / 1e6:g} million voxels"
    return [
        Choice("batch size", batches, "all kinds read about as much in a step, within this machine's memory", figure),
        Choice("iterations", iterations, "all kinds read about as much in all", in_all),
    ]


def propose_receptive_field(
    data_set: DataSet, classes: Sequence[ClassFacts], axes: Sequence[int], voxel_mm: Sides
) -> tuple[int, Choice]:
    """Return the smallest receptive field that shows the largest structure with its surroundings, or the scan."""
    extent_mm, voxel = largest_extent_mm(classes, axes), max(voxel_mm[axis] for axis in axes)
    wanted = CONTEXT * extent_mm / voxel
    scan = max(np.median(data_set.sides_mm, axis=0)[axis] / voxel_mm[axis] for axis in axes)
    fields = find_architecture("dil2D").receptive_fields
    field = next((one for one in fields if one >= min(wanted, scan)), fields[-1])
    reason = f"the smallest that shows {CONTEXT:g} × the largest structure"
    figure = f"{extent_mm:.3g} mm, {extent_mm / voxel:.0f} voxels of {voxel:g} mm"
    return field, Choice("receptive field", f"dil2D {field}", reason, figure)


def plan_training(
    architecture: Architecture,
    receptive_field: int | None,
    sample_size: int,
    memory_bytes: float,
    features: int | None = None,
    deep_supervision: bool = False,
) -> PlannedNetwork:
    """Return a network with the batch that a step can read, and the iterations that read enough."""
    patch = voxels_of_patch(architecture, receptive_field, sample_size)
    voxels = min(VOXELS_A_STEP[architecture.dimensions], SHARE_OF_MEMORY * memory_bytes / BYTES_A_VOXEL)
    batch = max(FEWEST_PATCHES, round(voxels / patch))
    return with_batch(
        PlannedNetwork(architecture, receptive_field, sample_size, batch, 1, features, deep_supervision), batch
    )


def with_batch(network: PlannedNetwork, batch_size: int) -> PlannedNetwork:
    """Return the network with another batch, and the iterations that read as many voxels."""
    patch = voxels_of_patch(network.architecture, network.receptive_field, network.sample_size)
    fewest, most = ITERATIONS
    iterations = min(most, max(fewest, 500 * round(VOXELS_IN_ALL / (batch_size * patch) / 500)))
    return replace(network, batch_size=batch_size, iterations=iterations)


def propose_normalization(data_set: DataSet) -> tuple[str, Choice]:
    """Return ``--normalization``: ct for channels of which most scans show air in Hounsfield units, else zscore."""
    shares = {channel: data_set.share_with_air(channel) for channel in data_set.channels}
    kinds = ["ct" if share > 0.5 else "zscore" for share in shares.values()]
    value = kinds[0] if len(set(kinds)) == 1 else ",".join(kinds)
    figure = ", ".join(
        f"{channel + ': ' if channel else ''}{share:.0%} of the scans" for channel, share in shares.items()
    )
    return value, Choice(
        "normalization", value, "ct where scans show air in Hounsfield units", f"values below -200 in {figure}"
    )


def propose_augmentation(dimensions: int, planes: str) -> tuple[bool, Choice]:
    """Return whether patches are mirrored: slices of one plane are, volumes and slices of three planes are not."""
    what, flip = "augmentation", dimensions == 2 and planes == "axial"
    if flip:
        value = f"strong, --flip; ensemble in {VIEWS} mirrored views"
        reason = (
            "axial slices: better in our trial; leave out --flip and --views if classes are left and right of a pair"
        )
        return flip, Choice(what, value, reason, "docs/acdc.md: +0.008 of Dice")
    reason = "networks that see other planes than axial ones do worse when patches are mirrored, in our trial"
    return flip, Choice(what, "strong, no --flip", reason, "docs/hippocampus.md: -0.020 of Dice")


def guess_ignore_label(data_set: DataSet) -> tuple[int, str] | None:
    """Return the label that seems to mean "not annotated", and the figure for it; None if there is no such label.

    It is the largest label, where it fills most of the scans and the background does not.
    """
    last = max((one.label for one in data_set.classes), default=None)
    if data_set.ignore_label is not None or len(data_set.classes) < 2:
        return None
    references = [(case.reference, math.prod(case.shape)) for case in data_set.annotated]
    background = float(np.median([one.background / voxels for one, voxels in references]))
    filled = [one.structures[last].voxels / voxels if last in one.structures else 0.0 for one, voxels in references]
    share = float(np.median(filled))
    if share <= _IGNORED_SHARE or background > share / 10:
        return None
    return last, f"{share:.2%} of the voxels; label 0 has {background:.2%}"


def propose_ignore_label(data_set: DataSet) -> Choice:
    """Return the label of voxels that are not annotated: as given, as guessed, or none."""
    if data_set.ignore_label is None:
        return Choice("ignore label", "none", "no label fills the scans", "all voxels count as annotated")
    if data_set.guess:
        reason = "it fills the scans, label 0 does not: taken for not annotated; if it is a class, add it to --classes"
        return Choice("ignore label", str(data_set.ignore_label), reason, data_set.guess)
    share = float(np.median([case.reference.annotated for case in data_set.annotated]))
    return Choice("ignore label", str(data_set.ignore_label), "as given", f"{share:.2%} of the voxels are annotated")


def propose_for_few_references(data_set: DataSet, split: dict[str, list[str]]) -> Choice:
    """Return what to do about few references."""
    annotated, train = {case.name for case in data_set.annotated}, set(split["train"])
    owners = {case.name: case.source.owner for case in data_set.cases}
    patients = {owners[name] for name in train & annotated}
    bare = len(train - annotated)
    figure = f"{len(patients)} train patients with references, {bare} train scans without"
    if bare:
        reason = "the ensemble labels the scans without references, too, and the student learns from all"
        return Choice("few references", "soft labels of all train scans", reason, figure)
    if len(patients) < FEW_PATIENTS:
        reason = "scans without references would train the student, too: add them to the data set if there are any"
        return Choice("few references", "more scans", reason, figure)
    return Choice("few references", "nothing", "all train scans have references, and they are many", figure)


def describe_cases(data_set: DataSet, classes: Sequence[ClassFacts]) -> str:
    """Return in how many annotated cases each class is."""
    counts = ", ".join(f"{one.label} in {len(one.structures)}" for one in classes)
    return f"{counts} of {len(data_set.annotated)} cases"


def _whole_sample(side: float, step: int, smallest: int, largest: int) -> int:
    """Return the multiple of `step` that is nearest to `side`, between `smallest` and `largest`."""
    return int(min(largest, max(smallest, step * math.floor(side / step + 0.5))))


def _two_digits(mm: float) -> float:
    """Return `mm` rounded down to two digits: 1.5625 becomes 1.5; a thousandth may be missing, 0.9999 becomes 1."""
    digits = 1 - math.floor(math.log10(1.001 * mm))
    return round(math.floor(1.001 * mm * 10**digits) / 10**digits, digits)


def _sides(triple: Sequence[float]) -> str:
    """Return a triple (z, y, x) as text, x first."""
    return " × ".join(f"{value:.3g}" for value in triple[::-1])
