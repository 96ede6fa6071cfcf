from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy import stats

from base.errors import InputError
from base.label_classes import IGNORED
from data.intensities import Scaling
from data.sampling.augmentation import STRENGTHS, sample_augmentation
from data.sampling.batches import BatchStream
from data.sampling.patches import PatchOptions, PatchSampler, choose_planes
from data.sampling.training_cases import TrainingCase, drawing_classes
from data.sampling.voxel_index import VoxelIndex, find_runs, groups_of_voxels

SHAPE = (6, 7, 8)
OUTSIDE = -7.0
NAMES = ("0", "1", "2")
TABLE = np.arange(256, dtype=np.uint8)


def index_of(groups: np.ndarray, number_of_groups: int) -> VoxelIndex:
    """Index the voxels of `groups`, uint8 (z, y, x)."""
    starts, ends, bounds = find_runs(groups, number_of_groups)
    return VoxelIndex(groups.shape, starts, ends, bounds)


def case_of(
    image, labels, soft=None, deviation=None, spacing_mm=(1.0, 1.0, 1.0), low=OUTSIDE, apart=None, around=None
) -> TrainingCase:
    """Return a case in memory whose intensities are not scaled."""
    groups = groups_of_voxels(drawing_classes(TABLE, labels, soft), 3, apart, around)
    index = index_of(groups, 3 + (apart is not None))
    scalings = (Scaling(low, 1e9, 0.0, 1.0),)
    return TrainingCase("case", (image,), scalings, spacing_mm, TABLE, labels, soft, deviation, index)


def case(seed: int, spacing_mm=(3.0, 1.0, 1.0), rare=True) -> TrainingCase:
    """Return a case whose intensities are voxel indices, so that the position of a patch can be read from it."""
    rng = np.random.default_rng(seed)
    reference = (rng.random(SHAPE) < 0.2).astype(np.uint8)
    if rare:
        reference[seed % 6, 3, 4] = 2
    image = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE) + 1000 * seed
    return case_of(image, reference, spacing_mm=spacing_mm)


def sampler(cases, criterion="entire-sample-area", ratios=(1, 1, 1), count=10, seed=(3,), dimensions=2, **options):
    """Return a sampler of batches of `count` patches with a sample size of 4 and an input size of 6."""
    patches = PatchOptions(dimensions, 4, 6, (0, 1, 2), criterion, ratios, count, **options)
    return PatchSampler(cases, NAMES, patches, seed)


def test_index_counts_and_finds_every_voxel_once():
    reference = case(1).labels
    index = index_of(reference, 4)
    assert index.counts.tolist() == [*np.bincount(reference.ravel()).tolist(), 0]
    for c in range(3):
        found = [np.ravel_multi_index(index.voxel(c, number), SHAPE) for number in range(index.counts[c])]
        np.testing.assert_array_equal(found, np.flatnonzero(reference == c))


def locate(cases, image):
    """Return the case number, the position (z, y, x) of each voxel of a patch, and the mask of voxels inside."""
    inside = image != OUTSIDE
    numbers = image[inside].astype(int)
    case_number = numbers[0] // 1000
    places = np.full((*image.shape, 3), -99)
    places[inside] = np.stack(np.unravel_index(numbers % 1000, SHAPE), -1)
    return case_number, places, inside


@pytest.mark.parametrize("criterion", ["entire-sample-area", "patch-center-voxel"])
def test_patches_match_their_cases(criterion):
    """Compare each voxel of image and reference with its case."""
    cases = [case(0), case(1), case(2)]
    batch = sampler(cases, criterion, count=200).batch(5)
    flat_axes, compared = set(), 0
    for image, reference in zip(batch.image[:, 0], batch.reference):
        number, places, inside = locate(cases, image)
        flat = [a for a in range(3) if len(np.unique(places[inside][:, a])) == 1]
        if len(flat) > 1:  # only one row is inside: the plane is ambiguous
            continue
        (axis,) = flat
        flat_axes.add(axis)
        compared += 1
        rows, columns = (a for a in range(3) if a != axis)
        first = np.argwhere(inside)[0]
        origin = places[tuple(first)].copy()
        origin[rows] -= first[0]
        origin[columns] -= first[1]
        for i, j in np.ndindex(6, 6):
            place = origin.copy()
            place[rows] += i
            place[columns] += j
            known = all(0 <= p < n for p, n in zip(place, SHAPE))
            assert image[i, j] == (cases[number].images[0][tuple(place)] if known else OUTSIDE)
            if 1 <= i < 5 and 1 <= j < 5:  # the sample area, in the middle of the input area
                expected = cases[number].labels[tuple(place)] if known else IGNORED
                assert reference[i - 1, j - 1] == expected
    assert flat_axes == {0, 1, 2}
    assert compared > 180


def test_boxes_match_their_cases():
    cases = [case(0), case(1)]
    batch = sampler(cases, dimensions=3, count=60).batch(2)
    assert batch.image.shape == (60, 1, 6, 6, 6)
    assert batch.reference.shape == (60, 4, 4, 4)
    for image, reference in zip(batch.image[:, 0], batch.reference):
        number, places, inside = locate(cases, image)
        first = np.argwhere(inside)[0]
        origin = places[tuple(first)] - first
        for offset in np.ndindex(6, 6, 6):
            place = tuple(origin + offset)
            known = all(0 <= p < n for p, n in zip(place, SHAPE))
            assert image[offset] == (cases[number].images[0][place] if known else OUTSIDE)
            if all(1 <= i < 5 for i in offset):
                expected = cases[number].labels[place] if known else IGNORED
                assert reference[tuple(i - 1 for i in offset)] == expected


@pytest.mark.parametrize("dimensions", [2, 3])
def test_patches_inside_the_volume_contain_the_drawn_class(dimensions):
    """A side of 4 fits into the case, a side of 10 does not: the whole case is then in the middle of the patch."""
    cases = [case(0), case(1)]
    for side in (4, 10):
        options = PatchOptions(dimensions, side, side, (0, 1, 2), "entire-sample-area", (0, 0, 1), 100, inside=True)
        batch = PatchSampler(cases, NAMES, options, (3,)).batch(0)
        assert (batch.reference == 2).any(axis=tuple(range(1, dimensions + 1))).all()
        if side == 4:
            assert (batch.image != OUTSIDE).all()
        elif dimensions == 3:
            for image in batch.image[:, 0]:
                assert (image[2:8, 1:8, 1:9] != OUTSIDE).all()
                assert (image != OUTSIDE).sum() == np.prod(SHAPE)


def test_the_centre_of_a_box_has_the_drawn_class():
    batch = sampler([case(0), case(1)], "patch-center-voxel", (0, 0, 1), count=20, dimensions=3).batch(0)
    assert (batch.reference[:, 2, 2, 2] == 2).all()


def corner_case(**drawn) -> TrainingCase:
    """Return a large case with foreground in one corner only, whose intensities are voxel indices."""
    reference = np.zeros((20, 20, 20), np.uint8)
    reference[:3, :3, :3] = 1
    reference[1, 1, 1] = 2
    return case_of(np.arange(20**3, dtype=np.float32).reshape(reference.shape), reference, **drawn)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.0), (0.7, 0.7), (1.0, 1.0)])
def test_a_share_of_the_background_patches_is_pure_background(dimensions, share, expected):
    patches = sampler(
        [corner_case(apart=4, around=4)], ratios=(1, 0, 0), count=1000, dimensions=dimensions, background_share=share
    )
    references = patches.batch(0).reference.reshape(1000, -1)
    pure = ((references == 0) | (references == IGNORED)).all(axis=1)
    if share < 1:  # near background is within a sample area of the foreground, which only some patches contain
        assert not pure.all()
        assert pure.mean() >= expected - 0.05
    else:
        assert pure.all()
    plain = sampler([corner_case()], ratios=(1, 0, 0), count=1000, dimensions=dimensions).batch(0).reference
    assert 0.9 < ((plain == 0) | (plain == IGNORED)).reshape(1000, -1).all(axis=1).mean() < 1


def test_a_background_share_without_such_background_is_an_error():
    full = case_of(np.zeros(SHAPE, np.float32), case(0).labels, apart=4)
    with pytest.raises(InputError, match="--background-share"):
        sampler([full], background_share=0.5)


def test_cropped_to_labels_no_distant_voxel_is_drawn():
    def reach(**drawn):
        batch = sampler([corner_case(**drawn)], "patch-center-voxel", (1, 1, 1), 500).batch(0)
        return np.stack(np.unravel_index(batch.image[:, 0, 3, 3].astype(int), (20, 20, 20))).max()

    assert reach(around=4) == 6  # the last foreground voxel is 2, the margin 4 voxels
    assert reach() > 15


def test_center_voxel_has_the_drawn_class():
    batch = sampler([case(0), case(1)], "patch-center-voxel", ratios=(0, 0, 1), count=50).batch(0)
    assert (batch.reference[:, 2, 2] == 2).all()


def test_entire_sample_area_contains_the_drawn_class_anywhere():
    batch = sampler([case(0), case(1)], "entire-sample-area", ratios=(0, 0, 1), count=400).batch(0)
    where = batch.reference == 2
    assert where.any(axis=(1, 2)).all()
    times = where.sum(axis=0).ravel()
    assert stats.chisquare(times).pvalue > 0.001


def test_ratios_are_the_probabilities_of_the_classes():
    batch = sampler([case(0), case(1)], "patch-center-voxel", ratios=(1, 0, 3), count=2000).batch(0)
    counts = np.bincount(batch.reference[:, 2, 2], minlength=3)
    assert counts[1] == 0
    assert counts[2] / 2000 == pytest.approx(0.75, abs=0.04)


def test_a_batch_depends_on_seed_and_number_alone():
    cases = [case(0), case(1)]
    one, other = sampler(cases), sampler(cases)
    for number in range(3):
        other.batch(number)
    np.testing.assert_array_equal(one.batch(2).image, other.batch(2).image)
    assert not np.array_equal(one.batch(2).image, one.batch(3).image)
    assert not np.array_equal(one.batch(2).image, sampler(cases, seed=(4,)).batch(2).image)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_shares_of_processes_make_up_the_batch_bit_for_bit(dimensions):
    options = PatchOptions(dimensions, 4, 6, (0, 1, 2), "entire-sample-area", (1, 1, 1), 10)
    soft = np.full((3, *SHAPE), 85, np.uint8)
    cases = [case_of(one.images[0], one.labels, soft) for one in (case(0), case(1))]
    patches = PatchSampler(cases, NAMES, options, (3,), partial(sample_augmentation, STRENGTHS["strong"]))
    whole = BatchStream(patches).make(5)
    for rank in range(3):
        share = BatchStream(patches, rank, 3).make(5)
        for name in ("image", "reference", "soft"):
            np.testing.assert_array_equal(getattr(share, name), getattr(whole, name)[rank::3])


def test_only_cases_with_a_rare_class_are_drawn():
    cases = [case(0, rare=False), case(1), case(2, rare=False)]
    batch = sampler(cases, ratios=(0, 0, 1), count=20).batch(0)
    assert {locate(cases, image)[0] for image in batch.image[:, 0]} == {1}


def test_a_class_without_cases_is_an_error_unless_it_is_never_drawn():
    cases = [case(0, rare=False)]
    with pytest.raises(InputError, match="holds class 2"):
        sampler(cases)
    sampler(cases, ratios=(1, 1, 0))


def test_validation_draws_the_classes_that_exist():
    cases = [case(0, rare=False)]
    options = sampler(cases, ratios=(1, 1, 0)).options
    lacking = PatchSampler(cases, NAMES, replace(options, ratios=(1, 1, 5)), (3,), may_lack=True)
    np.testing.assert_array_equal(lacking.batch(0).image, sampler(cases, ratios=(1, 1, 0)).batch(0).image)
    with pytest.raises(InputError, match="holds class 2"):
        PatchSampler(cases, NAMES, replace(options, ratios=(0, 0, 1)), (3,), may_lack=True)


def test_without_a_reference_patches_are_drawn_by_the_soft_labels():
    soft = np.zeros((3, *SHAPE), np.uint8)
    soft[0] = 255
    soft[:, 2, 3, 4] = (55, 0, 200)
    unannotated = case_of(case(0).images[0], None, soft)
    batch = sampler([unannotated], "patch-center-voxel", ratios=(0, 0, 1), count=9).batch(0)
    assert (batch.reference == IGNORED).all()
    np.testing.assert_array_equal(batch.soft[:, :, 2, 2], np.tile((55, 0, 200), (9, 1)))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_soft_labels_match_the_reference(dimensions):
    one = case(1)
    soft = np.stack([255 * (one.labels == c) for c in range(3)]).astype(np.uint8)
    deviation = (10 * one.labels).astype(np.uint8)
    labelled = case_of(one.images[0], one.labels, soft, deviation, one.spacing_mm)
    batch = sampler([labelled], count=100, dimensions=dimensions).batch(0)
    outside = batch.reference == IGNORED
    assert outside.any()
    np.testing.assert_array_equal(batch.soft.argmax(axis=1)[~outside], batch.reference[~outside])
    np.testing.assert_array_equal(batch.deviation[~outside], 10 * batch.reference[~outside])
    assert (batch.soft.sum(axis=1)[outside] == 0).all()


def test_thick_slices_give_axial_patches_only():
    shapes = [(30, 40, 50)]
    assert choose_planes("auto", [(5.0, 1.0, 1.0)], shapes) == (0,)
    assert choose_planes("auto", [(3.0, 1.0, 1.0)], shapes) == (0, 1, 2)
    assert choose_planes("all", [(5.0, 1.0, 1.0)], shapes) == (0, 1, 2)
    assert choose_planes("axial", [(1.0, 1.0, 1.0)], shapes) == (0,)


@pytest.mark.parametrize(
    ("shapes", "planes"),
    [
        ([(1, 48, 48)], (0,)),
        ([(2, 48, 48), (7, 30, 30)], (0, 1, 2)),
        ([(48, 1, 48)], (1,)),
        ([(1, 48, 48), (1, 48, 48), (30, 48, 48)], (0,)),  # too few volumes for the other two planes
        ([(1, 48, 48), (30, 48, 48)], (0, 1, 2)),
        ([(1, 48, 48), (48, 1, 48), (48, 48, 1)], (0, 1, 2)),
    ],
)
def test_planes_whose_slices_are_mostly_lines_are_omitted(shapes, planes):
    assert choose_planes("auto", [(1.0, 1.0, 1.0)] * len(shapes), shapes) == planes
    assert choose_planes("auto", [(5.0, 1.0, 1.0)] * len(shapes), shapes) == ((0,) if 0 in planes else planes)
    assert choose_planes("all", [(1.0, 1.0, 1.0)] * len(shapes), shapes) == (0, 1, 2)


def test_a_single_slice_among_volumes_gives_patches_of_its_own_plane():
    thick = case_of(np.zeros((9, 9, 9), np.float32), np.ones((9, 9, 9), np.uint8))
    thin = case_of(np.zeros((9, 1, 9), np.float32), np.ones((9, 1, 9), np.uint8))
    options = PatchOptions(2, 4, 6, (0, 1, 2), "entire-sample-area", (0, 1, 0), 200)
    places, _ = PatchSampler([thick, thin], NAMES, options, (3,)).places(0)
    normals = 3 - places.axes.sum(axis=1)
    assert set(normals[places.cases == 0]) == {0, 1, 2}
    assert set(normals[places.cases == 1]) == {1}
