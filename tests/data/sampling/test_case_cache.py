import json
import os
import shutil
from functools import partial

import numpy as np
import pytest
from scipy import ndimage

from base.channels import UNNAMED
from base.errors import InputError
from base.intensity_records import Normalization
from base.label_classes import IGNORED, parse_classes
from data.cases import Case, find_cases
from data.intensities import normalize
from data.sampling.augmentation import STRENGTHS, sample_augmentation
from data.sampling.batches import BatchStream
from data.sampling.case_cache import Drawing, TrainingLabels, open_case, settle_normalization
from data.sampling.patches import PatchOptions, PatchSampler
from data.sampling.training_cases import grids_fingerprint
from data.soft_labels import SoftLabels
from tests.material import resident_bytes

CLASSES = parse_classes("0,1+2")
KINDS = ("ct", "zscore", "none")


@pytest.fixture
def data(kidneys, tmp_path):
    """Copy the training cases of `kidneys` to a folder of the test."""
    shutil.copytree(kidneys / "train", tmp_path / "DATA" / "train")
    return tmp_path / "DATA"


@pytest.fixture
def cases(data) -> list[Case]:
    return find_cases(data, "train")


def test_claims_about_scribbles_count_for_students_alone(cases):
    claimed = [replace_claim(case) for case in cases]
    assert grids_fingerprint(claimed, False) == grids_fingerprint(cases, False)
    assert grids_fingerprint(claimed, True) != grids_fingerprint(cases, True)


def replace_claim(case: Case) -> Case:
    """Return a case of which is said that scribbles mark every structure in each slice."""
    changed = Case(case.folder)
    changed.record["options"]["scribbles"] = "slices"
    return changed


def write_soft_labels(folder, cases, seed=0) -> TrainingLabels:
    """Write random soft labels of `CLASSES` for `cases`."""
    rng = np.random.default_rng(seed)
    soft_labels = SoftLabels(folder, CLASSES)
    for case in cases:
        mean = rng.dirichlet([1, 1], case.grid.shape).astype(np.float32)
        soft_labels.write(case, np.moveaxis(mean, -1, 0), 0.5 * rng.random((2, *case.grid.shape), np.float32))
    return TrainingLabels(soft_labels, {"members": ["one"]}, with_deviation=True)


def normalized(case, normalization):
    """Return the image of a case, normalized, and its padding value."""
    volume, padding_values = normalize(list(case.resampled_images([UNNAMED]).values()), [normalization])
    return volume[0], padding_values[0]


def opened_by(cache, case, normalization, drawing, labels):
    """Open a case of one channel."""
    return open_case(cache, case, {UNNAMED: normalization}, drawing, labels)


def slow_batch(sampler, number, cases, normalization, soft_labels):
    """Compute batch `number` from whole volumes in double precision; NaN where the nearest voxel is ambiguous."""
    places, augmentation = sampler.places(number)
    options = sampler.options
    patches = []
    for which, axes, start, matrix, scale, shift in zip(
        places.cases,
        places.axes,
        places.starts,
        augmentation.matrices,
        augmentation.scales[:, 0],
        augmentation.shifts[:, 0],
    ):
        case = cases[which]
        image, outside = normalized(case, normalization)
        soft = soft_labels.read_mean(case) / 255
        deviation = soft_labels.read_deviation(case) / 510
        centre = start.astype(float)
        centre[axes] += (options.sample_size - 1) / 2

        def positions(side, axes=axes, centre=centre, matrix=matrix):
            offsets = np.indices([side] * len(axes)).reshape(len(axes), -1) - (side - 1) / 2
            where = np.tile(centre[:, None], offsets.shape[1])
            where[axes] += matrix.astype(float) @ offsets
            return where

        def values(volume, side, fill, positions=positions, axes=axes):
            padded = np.pad(volume.astype(float), 60, constant_values=fill)
            found = ndimage.map_coordinates(padded, positions(side) + 60, order=1, prefilter=False)
            return found.reshape([side] * len(axes))

        side = options.sample_size
        where = positions(side)
        classes = np.pad(case.resampled_classes(CLASSES), 60, constant_values=IGNORED)
        nearest = classes[tuple(np.rint(where).astype(int) + 60)].astype(float)
        nearest[(np.abs(where - np.floor(where) - 0.5) < 1e-3)[axes].any(axis=0)] = np.nan
        soft = np.stack([values(channel, side, 0) for channel in soft])
        total = soft.sum(axis=0)
        patches.append(
            (
                values(image, options.input_size, outside) * scale + shift,
                nearest.reshape([side] * len(axes)),
                np.where(total > 0.5, soft / np.maximum(total, 1e-9), 0),
                np.where(total > 0.5, values(deviation, side, 0) / np.maximum(total, 1e-9), 0),
            )
        )
    return [np.stack(some) for some in zip(*patches)]


@pytest.mark.parametrize(("dimensions", "kind"), [(2, "ct"), (2, "zscore"), (3, "none")])
def test_a_batch_equals_that_of_whole_volumes(cases, tmp_path, dimensions, kind):
    labels = write_soft_labels(tmp_path / "soft", cases)
    normalization = settle_normalization(tmp_path / "cache", kind, UNNAMED, cases)
    opened = [opened_by(tmp_path / "cache", case, normalization, Drawing(CLASSES), labels) for case in cases]
    options = PatchOptions(dimensions, 6, 12, (0, 1, 2), "entire-sample-area", (1, 1), 12)
    sampler = PatchSampler(opened, CLASSES.names, options, (7,), partial(sample_augmentation, STRENGTHS["light"]))
    batch = BatchStream(sampler).make(3)
    image, reference, soft, deviation = slow_batch(sampler, 3, cases, normalization, labels.soft_labels)
    span = image.max() - image.min()
    np.testing.assert_allclose(batch.image[:, 0], image, atol=1e-5 * span)
    sure = np.isfinite(reference)
    assert sure.mean() > 0.95
    assert set(np.unique(reference[sure])) == {0, 1, IGNORED}
    np.testing.assert_array_equal(batch.reference.numpy()[sure], reference[sure])
    np.testing.assert_allclose(batch.soft, soft, atol=1e-4)
    np.testing.assert_allclose(batch.deviation, deviation, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_cases_are_normalized_like_whole_images(cases, tmp_path, kind):
    normalization = settle_normalization(tmp_path, kind, UNNAMED, cases)
    for case in cases:
        opened = opened_by(tmp_path, case, normalization, Drawing(CLASSES), None)
        image, outside = normalized(case, normalization)
        np.testing.assert_array_equal(opened.scalings[0].apply(opened.images[0]), image)
        assert opened.scalings[0].padding_value == outside
        assert opened.images[0].dtype == case.stored_image(UNNAMED).dtype == np.int16
        np.testing.assert_array_equal(opened.table[opened.labels], case.resampled_classes(CLASSES))


def test_a_case_that_was_opened_before_is_not_read_again(cases, tmp_path, monkeypatch):
    labels = write_soft_labels(tmp_path / "soft", cases)
    first = opened_by(tmp_path, cases[0], Normalization("zscore"), Drawing(CLASSES), labels)

    def fail(*arguments):
        raise AssertionError("it was read")

    for reader in (Case, SoftLabels):
        for name in ("_resampled", "_read"):
            monkeypatch.setattr(reader, name, fail, raising=False)
    second = opened_by(tmp_path, cases[0], Normalization("zscore"), Drawing(CLASSES), labels)
    for name in ("images", "labels", "soft", "deviation"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert second.scalings == first.scalings
    np.testing.assert_array_equal(first.index.counts, second.index.counts)


def test_an_open_case_takes_no_memory_before_patches_are_extracted(cases, tmp_path):
    for _ in range(2):  # the first time, the cache is written
        opened = opened_by(tmp_path, cases[0], Normalization("none"), Drawing(CLASSES), None)
        for file in opened.stored:
            assert resident_bytes(file.path) == 0
    assert np.count_nonzero(opened.labels)
    assert resident_bytes(opened.stored[0].path) > 0


def test_the_cache_may_be_deleted_while_it_is_in_use(cases, tmp_path):
    cache = tmp_path / "cache"
    first = opened_by(cache, cases[0], Normalization("none"), Drawing(CLASSES), None)
    shutil.rmtree(cache)
    np.testing.assert_array_equal(first.images[0], cases[0].stored_image(UNNAMED))
    again = opened_by(cache, cases[0], Normalization("none"), Drawing(CLASSES), None)
    np.testing.assert_array_equal(again.images[0], first.images[0])


def test_files_changed_after_stage_1_are_detected(cases, tmp_path):
    one, other = cases[:2]
    opened_by(tmp_path, one, Normalization("none"), Drawing(CLASSES), None)
    shutil.copy(other.folder / "imaging_rs.nii.gz", one.folder / "imaging_rs.nii.gz")
    with pytest.raises(InputError, match=r"imaging_rs.nii.gz"):
        opened_by(tmp_path, one, Normalization("none"), Drawing(CLASSES), None)


def test_a_case_that_was_resampled_again_is_read_again(cases, tmp_path):
    one, other = cases[:2]
    opened_by(tmp_path, one, Normalization("none"), Drawing(CLASSES), None)
    for name in ("imaging_rs.nii.gz", "segmentation_rs.nii.gz", "resampling.json"):
        shutil.copy(other.folder / name, one.folder / name)
    renewed = opened_by(tmp_path, Case(one.folder), Normalization("none"), Drawing(CLASSES), None)
    np.testing.assert_array_equal(renewed.images[0], other.stored_image(UNNAMED))


def test_soft_labels_that_were_written_again_are_read_again(cases, tmp_path):
    """Also without a reference, when patches are drawn by the soft labels."""
    record = cases[0].folder / "resampling.json"
    content = json.loads(record.read_text())
    del content["sha256"]["reference"]
    record.write_text(json.dumps({**content, "labels": None}))
    case = Case(cases[0].folder)
    for seed in (0, 1):
        labels = write_soft_labels(tmp_path / "soft", [case], seed)
        opened = opened_by(tmp_path / "cache", case, Normalization("none"), Drawing(CLASSES), labels)
        soft = labels.soft_labels.read_mean(case)
        np.testing.assert_array_equal(opened.soft, soft)
        np.testing.assert_array_equal(opened.deviation, labels.soft_labels.read_deviation(case))
        assert opened.index.counts.tolist() == np.bincount(soft.argmax(axis=0).ravel(), minlength=2).tolist()
        for group in range(2):
            assert soft.argmax(axis=0)[opened.index.voxel(group, 5)] == group


def test_soft_labels_of_other_members_are_not_confused(cases, tmp_path):
    labels = [write_soft_labels(tmp_path / f"soft {seed}", cases[:1], seed) for seed in (0, 1)]
    stamp = 1_600_000_000
    for one in labels:  # files of the same size and time
        for path in one.soft_labels.paths(cases[0]):
            os.utime(path, (stamp, stamp))
    labels[1] = TrainingLabels(labels[1].soft_labels, {"members": ["another"]}, True)
    for one in (*labels, labels[0]):
        opened = opened_by(tmp_path / "cache", cases[0], Normalization("none"), Drawing(CLASSES), one)
        np.testing.assert_array_equal(opened.soft, one.soft_labels.read_mean(cases[0]))


def test_each_drawing_option_has_its_own_index(cases, tmp_path):
    ways = [Drawing(CLASSES), Drawing(parse_classes("0,2")), Drawing(CLASSES, apart=3), Drawing(CLASSES, around=2)]
    indices = [opened_by(tmp_path, cases[0], Normalization("none"), way, None).index for way in ways]
    reference = cases[0].resampled_reference()
    assert indices[0].counts.tolist() == [(reference == 0).sum(), (reference > 0).sum()]
    assert indices[1].counts.tolist() == [(reference != 2).sum(), (reference == 2).sum()]
    far = ndimage.distance_transform_cdt(reference == 0, "chessboard") >= 3
    assert indices[2].counts.tolist() == [((reference == 0) & ~far).sum(), (reference > 0).sum(), far.sum()]
    places = np.argwhere(reference > 0)
    low, high = np.maximum(places.min(axis=0) - 2, 0), np.minimum(places.max(axis=0) + 3, reference.shape)
    assert indices[3].counts.sum() == np.prod(high - low)
