"""Facts about cases before stage 1, against values computed by hand."""

import numpy as np
import pytest
import SimpleITK as sitk

from base.label_classes import IGNORED
from data.case_facts import CaseFacts, Refused, examine_case, facts_of_reference
from data.layouts import SourceCase
from data.layouts.source_case import ImageFile
from tests.material import image_of


def reference() -> np.ndarray:
    """Return two components of label 1, of 2 × 3 × 4 and 1 × 1 × 2 voxels, and one voxel of label 3 at an end of z."""
    labels = np.zeros((6, 10, 12), np.uint8)
    labels[1:3, 2:5, 3:7] = 1
    labels[4, 8, 9:11] = 1
    labels[5, 1, 1] = 3
    return labels


def test_facts_of_a_reference():
    facts = facts_of_reference(reference(), (5.0, 2.0, 1.0))
    assert sorted(facts.structures) == [1, 3]
    structure = facts.structures[1]
    assert (structure.voxels, structure.components) == (26, 2)
    assert structure.volume_ml == pytest.approx(26 * 10 / 1000)
    assert (structure.smallest_mm, structure.largest_mm) == (5, 10)  # 5 × 2 × 2 mm, and 10 × 6 × 4 mm
    assert structure.box_mm == (10, 6, 4)
    assert facts.structures[3].box_mm == (5, 2, 1)
    assert facts.background == 6 * 10 * 12 - 27
    assert facts.annotated == 1
    assert facts.box_mm == (25, 16, 10)
    assert facts.touches == (0,)


def test_voxels_that_touch_by_a_corner_are_one_component():
    labels = np.zeros((3, 3, 3), np.uint8)
    labels[0, 0, 0] = labels[1, 1, 1] = 1
    assert facts_of_reference(labels, (1.0, 1.0, 1.0)).structures[1].components == 1


def test_voxels_that_are_not_annotated_are_no_structure():
    labels = reference()
    labels[:3] = IGNORED
    facts = facts_of_reference(labels, (1.0, 1.0, 1.0))
    assert facts.annotated == pytest.approx(0.5)
    assert facts.structures[1].voxels == 2
    assert facts.box_mm == (2, 8, 10)


def test_a_reference_without_foreground_has_no_box():
    facts = facts_of_reference(np.zeros((2, 2, 2), np.uint8), (1.0, 1.0, 1.0))
    assert (facts.structures, facts.box_mm, facts.touches) == ({}, None, ())


def test_a_case_is_described_along_the_axes_of_the_patient(tmp_path):
    lps = image_of(np.arange(6 * 10 * 12, dtype=np.int16).reshape(6, 10, 12) - 300, spacing=(1.0, 2.0, 5.0))
    labels = image_of(reference(), spacing=(1.0, 2.0, 5.0))
    for name, image in (("scan", lps), ("label", labels)):
        sitk.WriteImage(sitk.DICOMOrient(image, "IPL"), str(tmp_path / f"{name}.nii.gz"))
    facts = examine_case(SourceCase("a", tmp_path / "scan.nii.gz", tmp_path / "label.nii.gz"))
    assert isinstance(facts, CaseFacts)
    assert (facts.orientation, facts.shape, facts.spacing_mm) == ("IPL", (6, 10, 12), (5, 2, 1))
    assert facts.channels[""].lowest == -300
    assert facts.channels[""].median == pytest.approx(-300 + (6 * 10 * 12 - 1) / 2)
    assert facts.reference == facts_of_reference(reference(), (5.0, 2.0, 1.0))


def test_a_case_that_stage_1_refuses_is_named_with_the_same_reason(tmp_path):
    scan, label = tmp_path / "scan.nii.gz", tmp_path / "label.nii.gz"
    sitk.WriteImage(image_of(np.zeros((3, 4, 5), np.int16)), str(scan))
    sitk.WriteImage(image_of(np.zeros((3, 4, 6), np.uint8)), str(label))
    refused = examine_case(SourceCase("a", scan, label))
    assert isinstance(refused, Refused)
    assert f"{label}: is not on the grid of its image (size (6, 4, 3) against (5, 4, 3))" in refused.problem


def test_a_reference_of_nothing_but_the_ignore_label_counts_as_none(tmp_path):
    scan, label = tmp_path / "scan.nii.gz", tmp_path / "label.nii.gz"
    sitk.WriteImage(image_of(np.zeros((3, 4, 5), np.int16)), str(scan))
    sitk.WriteImage(image_of(np.full((3, 4, 5), 9, np.uint8)), str(label))
    assert examine_case(SourceCase("a", scan, label, ignore_label=9)).reference is None


def test_each_channel_has_facts_of_its_own(tmp_path):
    files = {}
    for name, value in (("T1", 3), ("T2", 40)):
        path = tmp_path / f"a-{name}.nii.gz"
        sitk.WriteImage(sitk.GetImageFromArray(np.full((4, 5, 6), value, np.int16)), str(path))
        files[name] = ImageFile(path)
    facts = examine_case(SourceCase("a", tmp_path / "a-T1.nii.gz", None, channels=files))
    assert {name: one.median for name, one in facts.channels.items()} == {"T1": 3, "T2": 40}
