"""Rules of a plan on data sets like well-known ones, with the settings that were chosen for those by hand."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from base.errors import InputError
from data.case_facts import CaseFacts, IntensityFacts, ReferenceFacts, StructureFacts
from data.layouts import SourceCase
from stages.planning import rules
from stages.planning.data_set import DataSet
from stages.planning.settings import Settings
from stages.planning.splits import propose_split

GIGABYTE = 1e9
MR, CT = IntensityFacts(0, 0, 100, 1000), IntensityFacts(-1024, -1024, -100, 300)


def structure(box_mm: Sequence[float], voxels: int = 1000) -> StructureFacts:
    return StructureFacts(voxels, 1.0, 1, max(box_mm), max(box_mm), tuple(box_mm))


def case(number: int, shape, spacing_mm, boxes_mm, foreground_mm, channel=MR, annotated=True, **source) -> CaseFacts:
    """Return a case whose labels 1, 2, ... have components of `boxes_mm`, (z, y, x)."""
    name = f"case_{number:03d}"
    structures = {label: structure(box) for label, box in enumerate(boxes_mm, start=1)}
    reference = ReferenceFacts(structures, 10_000, 1.0, tuple(foreground_mm), ()) if annotated else None
    image = Path(f"{name}.nii.gz")
    files = SourceCase(name, image, image if annotated else None, **source)
    return CaseFacts(files, "LPS", tuple(shape), tuple(spacing_mm), {"": channel}, reference)


def data_set(*cases: CaseFacts, ignore_label: int | None = None) -> DataSet:
    return DataSet("pairs", cases, (), ignore_label)


def cases_of(count: int, *facts, **named) -> DataSet:
    return data_set(*(case(number, *facts, **named) for number in range(count)))


HIPPOCAMPUS = cases_of(60, (36, 50, 35), (1, 1, 1), [(14, 17, 21), (20, 22, 23)], (27, 39, 23))
HEART = cases_of(60, (10, 256, 216), (10, 1.5625, 1.5625), [(80, 91, 66), (90, 87, 85)], (90, 110, 125))
KIDNEYS = cases_of(60, (75, 512, 512), (5, 0.78, 0.78), [(108, 78, 78), (36, 38, 40)], (128, 91, 250), channel=CT)
KIDNEYS_THIN = cases_of(60, (125, 512, 512), (3, 0.78, 0.78), [(108, 78, 78), (36, 38, 40)], (128, 91, 250), channel=CT)


def propose(data: DataSet, memory_bytes: float = 16 * GIGABYTE) -> Settings:
    split, choice = propose_split(data, [one.name for one in data.cases], None, None, 0)
    return rules.propose(data, split, choice, memory_bytes)


def test_small_structures_in_cubic_voxels_get_3d_networks():
    settings = propose(HIPPOCAMPUS)
    assert settings.voxel_size == ("1", "1", "1")
    unet, resnet, dilated = settings.networks
    assert (unet.name, unet.sample_size, unet.batch_size, unet.iterations, unet.features) == ("UNet3D", 40, 2, 3000, 8)
    assert unet.deep_supervision
    assert (resnet.name, resnet.sample_size) == ("ResNet3D", 40)
    assert (dilated.name, dilated.receptive_field, dilated.sample_size) == ("dil2D", 35, 16)
    assert settings.planes == "all"
    assert settings.normalization == "zscore"


def test_thick_slices_stay_as_they_are_and_get_axial_networks():
    settings = propose(HEART)
    assert settings.voxel_size == ("1.5", "1.5", "none")
    unet, _, dilated = settings.networks
    assert (unet.name, unet.sample_size, unet.batch_size, unet.iterations) == ("UNet2D", 128, 4, 6000)
    assert (dilated.receptive_field, dilated.sample_size) == (131, 64)
    assert settings.planes == "axial"


def test_voxels_grow_until_the_receptive_field_shows_a_large_structure():
    """1.5 × 108 mm in 131 voxels are 1.24 mm a voxel. Slices of 5 mm are more than three times as thick, 3 mm not."""
    assert propose(KIDNEYS).voxel_size == ("1.2", "1.2", "none")
    settings = propose(KIDNEYS_THIN)
    assert settings.voxel_size == ("1.2", "1.2", "3")
    assert settings.planes == "all"
    assert settings.networks[0].name == "UNet2D"  # 1.5 × 250 mm does not fit into a cube
    assert settings.normalization == "ct"


def test_small_structures_keep_voxels_small():
    data = cases_of(9, (125, 512, 512), (0.8, 0.8, 0.8), [(400, 300, 300), (4, 4, 4)], (400, 300, 300))
    assert propose(data).voxel_size == ("1", "1", "1")  # four voxels across 4 mm; 1.5 × 400 mm would want 4.5 mm


def test_little_memory_makes_smaller_batches_and_more_iterations():
    plenty, little = propose(HEART).networks[0], propose(HEART, 0.2 * GIGABYTE).networks[0]
    assert (plenty.batch_size, little.batch_size) == (4, 2)
    assert little.iterations == 12000
    assert little.voxels_a_step * rules.BYTES_A_VOXEL <= rules.SHARE_OF_MEMORY * 0.2 * GIGABYTE


@pytest.mark.parametrize("data", [HIPPOCAMPUS, HEART, KIDNEYS, KIDNEYS_THIN], ids=["small", "thick", "large", "thin"])
def test_the_ensemble_has_three_kinds_and_two_losses(data):
    settings = propose(data)
    assert len({one.name.rstrip("23D") for one in settings.networks}) == 3
    assert len(set(settings.losses)) == 2
    assert all(choice.reason and choice.figure for choice in settings.choices)


@pytest.mark.parametrize(
    ("data", "flip"), [(HIPPOCAMPUS, False), (KIDNEYS_THIN, False), (HEART, True), (KIDNEYS, True)]
)
def test_axial_slices_alone_are_mirrored(data, flip):
    settings = propose(data)
    assert (settings.flip, settings.views) == (flip, 4 if flip else 1)


def test_classes_are_those_of_the_train_references(tmp_path):
    """A label that only test cases have cannot be trained; the plan says so."""
    pairs = [case(n, (9, 9, 9), (1, 1, 1), [(3, 3, 3)] * (1 + (n == 5)), (3, 3, 3)) for n in range(6)]
    names = [one.name for one in pairs]
    (tmp_path / "split.json").write_text(json.dumps({"train": names[:4], "val": names[4:5], "test": names[5:]}))
    split, choice = propose_split(data_set(*pairs), names, tmp_path / "split.json", None, 0)
    settings = rules.propose(data_set(*pairs), split, choice, 16 * GIGABYTE)
    assert settings.classes == "0,1"
    (reason,) = [one.reason for one in settings.choices if one.what == "classes"]
    assert reason == "labels of the train references, none of which has 2"


def test_a_split_that_separates_a_patient_is_refused(tmp_path):
    pairs = [case(n, (9, 9, 9), (1, 1, 1), [(3, 3, 3)], (3, 3, 3), patient="one") for n in range(2)]
    names = [one.name for one in pairs]
    (tmp_path / "split.json").write_text(json.dumps({"train": names[:1], "val": names[1:]}))
    with pytest.raises(InputError, match=r"are of one patient \(one\)"):
        propose_split(data_set(*pairs), names, tmp_path / "split.json", None, 0)
    listed = [replace(one, source=replace(one.source, split=name)) for one, name in zip(pairs, ("train", "val"))]
    listed.append(case(2, (9, 9, 9), (1, 1, 1), [(3, 3, 3)], (3, 3, 3)))
    with pytest.raises(InputError, match=r"are of one patient \(one\)"):
        propose_split(data_set(*listed), [*names, "case_002"], None, None, 0)


def test_a_patient_is_never_separated_and_cases_without_references_train():
    pairs = [
        case(n, (9, 9, 9), (1, 1, 1), [(3, 3, 3)], (3, 3, 3), annotated=n < 40, patient=f"patient_{n // 2}")
        for n in range(50)
    ]
    split, _ = propose_split(data_set(*pairs), [], None, None, 0)
    assert {name: len(cases) for name, cases in split.items()} == {"train": 2 * (14 + 5), "val": 6, "test": 6}
    of = {one.name: one.source.owner for one in pairs}
    patients = [{of[name] for name in cases} for cases in split.values()]
    assert sum(map(len, patients)) == len(set().union(*patients))
    assert {one.name for one in pairs if not one.reference} <= set(split["train"])


def test_every_class_is_in_train():
    rare = case(0, (9, 9, 9), (1, 1, 1), [(3, 3, 3), (2, 2, 2)], (3, 3, 3))
    others = [case(number, (9, 9, 9), (1, 1, 1), [(3, 3, 3)], (3, 3, 3)) for number in range(1, 12)]
    for seed in range(20):
        split, _ = propose_split(data_set(rare, *others), [], None, None, seed)
        assert "case_000" in split["train"]


def test_given_splits_stay_and_missing_validation_cases_come_from_train():
    def with_splits(*splits):
        return data_set(
            *(case(n, (9, 9, 9), (1, 1, 1), [(3, 3, 3)], (3, 3, 3), split=split) for n, split in enumerate(splits))
        )

    split, _ = propose_split(with_splits("train", "val", "test"), [], None, None, 0)
    assert split == {"train": ["case_000"], "val": ["case_001"], "test": ["case_002"]}
    split, _ = propose_split(with_splits(*["train"] * 10, "test", "test"), [], None, None, 0)
    assert split["test"] == ["case_010", "case_011"]
    assert (len(split["train"]), len(split["val"])) == (8, 2)


def test_one_patient_with_references_is_refused():
    with pytest.raises(InputError, match="1 patients have references"):
        propose(cases_of(1, (9, 9, 9), (1, 1, 1), [(3, 3, 3)], (3, 3, 3)))


def test_a_label_that_fills_the_scans_is_taken_for_not_annotated():
    def scribbled(number: int) -> CaseFacts:
        one = case(number, (10, 100, 100), (10, 1.5, 1.5), [(60, 50, 50)] * 3, (90, 90, 90))
        structures = {**one.reference.structures, 4: structure((100, 150, 150), 98_000)}
        return replace(one, reference=replace(one.reference, structures=structures, background=500))

    scribbles = map(scribbled, range(4))
    assert rules.guess_ignore_label(data_set(*scribbles)) == (4, "98.00% of the voxels; label 0 has 0.50%")


def test_a_large_class_beside_a_background_is_not_taken_for_not_annotated():
    assert rules.guess_ignore_label(KIDNEYS) is None


def test_unusual_cases_are_named():
    usual = [case(number, (40, 50, 60), (1, 1, 1), [(9, 9, 9)], (9, 9, 9)) for number in range(5)]
    coarse = case(5, (40, 50, 60), (1, 1, 3), [(9, 9, 9)], (9, 9, 9))
    small = case(6, (20, 20, 20), (1, 1, 1), [(9, 9, 9)], (9, 9, 9))
    hounsfield = case(7, (40, 50, 60), (1, 1, 1), [(9, 9, 9)], (9, 9, 9), channel=CT)
    empty = replace(usual[0], reference=ReferenceFacts({}, 1, 1.0, None, ()))
    found = {one.what: one.names for one in data_set(empty, *usual[1:], coarse, small, hounsfield).outliers()}
    assert found == {
        "a voxel size of 3 times the median or more": ("case_005",),
        "a field of view of a tenth of the median volume or less": ("case_006",),
        "values below -200, unlike most": ("case_007",),
        "a reference without foreground": ("case_000",),
    }


def test_two_digits_round_down():
    assert list(map(rules._two_digits, (1.5625, 0.9999999, 0.78, 10.0, 2.0, 0.0765))) == [
        1.5,
        1.0,
        0.78,
        10.0,
        2.0,
        0.076,
    ]
    assert np.isclose(rules._two_digits(5.0), 5)
