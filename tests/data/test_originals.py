"""What somebody does to the scan and the reference in a case folder counts, and is never removed."""

import errno
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from data.layouts import SourceCase
from data.preparation import prepare_case
from tests.material import image_of


def write(path, value: int):
    array = np.zeros((4, 6, 5), np.uint8)
    array[1:3, 1:3, 1:3] = value
    sitk.WriteImage(image_of(array), str(path))


def array_of(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


@pytest.fixture(params=[".nii.gz", ".mha"])
def source(request, tmp_path):
    """A scan with its reference, linked (.nii.gz) or copied (.mha) by stage 1."""
    sitk.WriteImage(
        image_of(np.random.default_rng(0).normal(size=(4, 6, 5)).astype(np.float32)),
        str(tmp_path / f"s{request.param}"),
    )
    write(tmp_path / f"r{request.param}", 1)
    return SourceCase("case", tmp_path / f"s{request.param}", tmp_path / f"r{request.param}")


def test_a_correction_in_the_case_folder_counts_and_stays(source, tmp_path):
    out = tmp_path / "OUT"
    assert not prepare_case(source, out, None).problem
    (out / "segmentation.nii.gz").unlink()  # as viewers save: a new file in the place of the old one
    write(out / "segmentation.nii.gz", 2)
    corrected = (out / "segmentation.nii.gz").read_bytes()
    outcome = prepare_case(source, out, None)
    assert not outcome.problem
    assert outcome.record["labels"] == {"0": 112, "2": 8}
    assert f"segmentation.nii.gz counts instead of {source.reference}" in outcome.note
    assert prepare_case(source, out, None).skipped
    write(source.reference, 3)  # the data set changes, too: what somebody corrected is not lost
    outcome = prepare_case(source, out, None)
    assert not outcome.problem
    assert (out / "segmentation.nii.gz").read_bytes() == corrected
    assert (array_of(out / "segmentation_rs.nii.gz") == 2).sum() == 8


def test_a_reference_that_somebody_draws_counts(source, tmp_path):
    out = tmp_path / "OUT"
    without = SourceCase("case", source.image, None)
    assert prepare_case(without, out, None).record["labels"] is None
    write(out / "segmentation.nii.gz", 2)
    outcome = prepare_case(without, out, None)
    assert outcome.record["labels"] == {"0": 112, "2": 8}
    assert "counts instead of no file" in outcome.note
    assert (out / "segmentation.nii.gz").exists()


def test_a_scan_that_is_refused_now_does_not_count_as_resampled(source, tmp_path):
    out = tmp_path / "OUT"
    assert not prepare_case(source, out, None).problem
    source.image.write_bytes(source.image.read_bytes()[:100])
    assert prepare_case(source, out, None).problem
    assert not (out / "resampling.json").exists()


def test_resampled_files_of_another_program_are_not_written_over(source, tmp_path):
    out = tmp_path / "OUT"
    out.mkdir()
    write(out / "imaging_rs.nii.gz", 7)
    before = (out / "imaging_rs.nii.gz").read_bytes()
    assert "is in the way" in prepare_case(source, out, None).problem
    assert (out / "imaging_rs.nii.gz").read_bytes() == before


def test_a_damaged_record_is_in_nobodys_way(source, tmp_path):
    out = tmp_path / "OUT"
    record = prepare_case(source, out, None).record
    for content in ("", "{", "[]", "{}", "[" * 100_000, '{"placed": []}', '{"labels": {"x": 1}}'):
        (out / "resampling.json").write_text(content)
        outcome = prepare_case(source, out, None)
        assert not outcome.problem
        assert outcome.record["sha256"] == record["sha256"]


@pytest.fixture
def no_links(monkeypatch):
    """A disk without links, as CIFS and exFAT are."""

    def refuse(self, target):
        raise PermissionError(errno.EPERM, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "symlink_to", refuse)


def test_a_disk_without_links_gets_copies(source, tmp_path, no_links):
    out = tmp_path / "OUT"
    outcome = prepare_case(source, out, None)
    assert not outcome.problem
    is_packed = source.image.name.endswith(".nii.gz")
    assert outcome.copies == (2 if is_packed else 0)  # others are copied in any case
    if is_packed:
        assert (out / "imaging.nii.gz").read_bytes() == source.image.read_bytes()
    assert prepare_case(source, out, None).skipped
    (out / "resampling.json").unlink()  # as when it was killed before the record was written
    again = prepare_case(source, out, None)
    assert not again.problem
    assert not again.note
    write(source.reference, 3)  # the data set changes: its copy does, too
    changed = prepare_case(source, out, None)
    assert not changed.note
    assert (array_of(out / "segmentation.nii.gz") == 3).sum() == 8


def test_a_correction_of_a_copy_counts_and_stays(source, tmp_path, no_links):
    out = tmp_path / "OUT"
    assert not prepare_case(source, out, None).problem
    write(out / "segmentation.nii.gz", 2)
    corrected = (out / "segmentation.nii.gz").read_bytes()
    assert "counts instead of" in prepare_case(source, out, None).note
    assert (out / "segmentation.nii.gz").read_bytes() == corrected
