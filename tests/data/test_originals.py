"""Tests that the user's own scans and references in a case folder are used and never removed."""

import errno
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from base.errors import InputError
from data.cases import Case
from data.layouts import SourceCase
from data.layouts.source_case import ImageFile
from data.preparation import prepare_case
from tests.material import array_of, image_of


def write(path, value: int):
    array = np.zeros((4, 6, 5), np.uint8)
    array[1:3, 1:3, 1:3] = value
    sitk.WriteImage(image_of(array), str(path))


@pytest.fixture(params=[".nii.gz", ".mha"])
def source(request, tmp_path):
    """Return a scan with its reference, which stage 1 links (.nii.gz) or copies (.mha)."""
    sitk.WriteImage(
        image_of(np.random.default_rng(0).normal(size=(4, 6, 5)).astype(np.float32)),
        str(tmp_path / f"s{request.param}"),
    )
    write(tmp_path / f"r{request.param}", 1)
    return SourceCase("case", tmp_path / f"s{request.param}", tmp_path / f"r{request.param}")


def test_a_correction_in_the_case_folder_is_used_and_kept(source, tmp_path):
    out = tmp_path / "OUT"
    assert not prepare_case(source, out, None).problem
    (out / "segmentation.nii.gz").unlink()  # viewers save a new file in place of the old one
    write(out / "segmentation.nii.gz", 2)
    corrected = (out / "segmentation.nii.gz").read_bytes()
    outcome = prepare_case(source, out, None)
    assert not outcome.problem
    assert outcome.record["labels"] == {"0": 112, "2": 8}
    assert f"segmentation.nii.gz is used instead of {source.reference}" in outcome.note
    assert prepare_case(source, out, None).skipped
    write(source.reference, 3)  # even if the data set changes as well, the correction is kept
    outcome = prepare_case(source, out, None)
    assert not outcome.problem
    assert (out / "segmentation.nii.gz").read_bytes() == corrected
    assert (array_of(out / "segmentation_rs.nii.gz") == 2).sum() == 8


def test_a_reference_drawn_by_the_user_is_used(source, tmp_path):
    out = tmp_path / "OUT"
    without = SourceCase("case", source.image, None)
    assert prepare_case(without, out, None).record["labels"] is None
    write(out / "segmentation.nii.gz", 2)
    outcome = prepare_case(without, out, None)
    assert outcome.record["labels"] == {"0": 112, "2": 8}
    assert "is used instead of no file" in outcome.note
    assert (out / "segmentation.nii.gz").exists()


def test_a_refused_scan_no_longer_counts_as_resampled(source, tmp_path):
    out = tmp_path / "OUT"
    assert not prepare_case(source, out, None).problem
    source.image.write_bytes(source.image.read_bytes()[:100])
    assert prepare_case(source, out, None).problem
    with pytest.raises(InputError, match="the case is not resampled"):
        _ = Case(out).record


def test_resampled_files_of_another_program_are_not_overwritten(source, tmp_path):
    out = tmp_path / "OUT"
    out.mkdir()
    write(out / "imaging_rs.nii.gz", 7)
    before = (out / "imaging_rs.nii.gz").read_bytes()
    assert "already exists" in prepare_case(source, out, None).problem
    assert (out / "imaging_rs.nii.gz").read_bytes() == before


def test_a_damaged_record_is_replaced(source, tmp_path):
    out = tmp_path / "OUT"
    record = prepare_case(source, out, None).record
    for content in ("", "{", "[]", "{}", "[" * 100_000, '{"placed": []}', '{"labels": {"x": 1}}'):
        (out / "resampling.json").write_text(content)
        outcome = prepare_case(source, out, None)
        assert not outcome.problem
        assert outcome.record["sha256"] == record["sha256"]


@pytest.fixture
def no_links(monkeypatch):
    """Simulate a disk without links, such as CIFS or exFAT."""

    def refuse(self, target):
        raise PermissionError(errno.EPERM, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "symlink_to", refuse)


def test_originals_are_copied_to_a_disk_without_links(source, tmp_path, no_links):
    out = tmp_path / "OUT"
    outcome = prepare_case(source, out, None)
    assert not outcome.problem
    is_packed = source.image.name.endswith(".nii.gz")
    assert outcome.copies == (2 if is_packed else 0)  # other formats are always copied
    if is_packed:
        assert (out / "imaging.nii.gz").read_bytes() == source.image.read_bytes()
    assert prepare_case(source, out, None).skipped
    (out / "resampling.json").unlink()  # as if killed before the record was written
    again = prepare_case(source, out, None)
    assert not again.problem
    assert not again.note
    write(source.reference, 3)  # if the data set changes, so does its copy
    changed = prepare_case(source, out, None)
    assert not changed.note
    assert (array_of(out / "segmentation.nii.gz") == 3).sum() == 8


def test_another_scan_under_the_name_of_an_earlier_one_is_told(source, tmp_path):
    out = tmp_path / "OUT"
    assert not prepare_case(source, out, None).note
    write(source.reference, 3)
    assert not prepare_case(source, out, None).note
    sitk.WriteImage(image_of(np.ones((4, 6, 5), np.float32)), str(source.image))
    changed = prepare_case(source, out, None)
    assert (changed.problem, changed.note) == ("", "its scan is another one than before")


def test_other_channels_of_the_same_scan_are_no_other_scan(tmp_path):
    for name, value in (("T1", 1), ("T2", 2)):
        write(tmp_path / f"{name}.nii.gz", value)
    files = {name: ImageFile(tmp_path / f"{name}.nii.gz") for name in ("T1", "T2")}
    for channels in (files, {"T1": files["T1"]}):
        outcome = prepare_case(SourceCase("case", files["T1"].path, None, channels=channels), tmp_path / "OUT", None)
        assert (outcome.problem, outcome.note, outcome.skipped) == ("", "", False)


def test_a_correction_of_a_copy_is_used_and_kept(source, tmp_path, no_links):
    out = tmp_path / "OUT"
    assert not prepare_case(source, out, None).problem
    write(out / "segmentation.nii.gz", 2)
    corrected = (out / "segmentation.nii.gz").read_bytes()
    assert "is used instead of" in prepare_case(source, out, None).note
    assert (out / "segmentation.nii.gz").read_bytes() == corrected
