"""Tests of case folders of scans in all formats: the files for later stages, and the work of a second run."""

import gzip

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from data.images.image_files import Grid
from data.layouts import SourceCase
from data.preparation import prepare_case
from tests.material import array_of, image_of

OTHER_ENDINGS = [".nii", ".mha", ".mhd", ".nrrd"]


def scan_of(seed=0, direction=None, kind=np.int16):
    values = np.random.default_rng(seed).integers(-1000, 1000, (4, 6, 5)).astype(kind)
    return image_of(values, (0.7, 0.9, 2.5), (-81.3, 40.7, -1203.1), direction)


def labels_of(image):
    labels = image_of(sitk.GetArrayFromImage(image > 0))
    labels.CopyInformation(image)
    return labels


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a scan, by default with a reference, in some format and returns the source."""

    def write_source(ending, image, with_reference=True):
        paths = [tmp_path / f"{name}{ending}" for name in ("scan", "mask")]
        sitk.WriteImage(image, str(paths[0]))
        sitk.WriteImage(labels_of(image), str(paths[1]))
        return SourceCase("case", paths[0], paths[1] if with_reference else None)

    return write_source


@pytest.mark.parametrize("ending", OTHER_ENDINGS)
def test_another_format_is_copied_voxel_by_voxel_on_the_same_grid(write, tmp_path, direction, ending):
    image = scan_of(direction=direction)
    source = write(ending, image)
    assert not prepare_case(source, tmp_path / "OUT" / "case", (1.0, 1.0, 1.0)).problem
    for name, original in (("imaging", image), ("segmentation", labels_of(image))):
        path = tmp_path / "OUT" / "case" / f"{name}.nii.gz"
        assert not path.is_symlink()
        assert gzip.decompress(path.read_bytes())[344:348] == b"n+1\0"  # the magic string of NIfTI
        copy = sitk.ReadImage(str(path))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(copy), sitk.GetArrayFromImage(original))
        assert copy.GetPixelID() == original.GetPixelID()
        assert not Grid.of(copy).differs_from(Grid.of(original))
        assert nibabel.load(path).shape == original.GetSize()


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_the_type_of_the_voxels_is_kept(write, tmp_path, kind):
    image = scan_of(kind=kind)
    assert not prepare_case(write(".nrrd", image), tmp_path / "OUT", None).problem
    assert sitk.ReadImage(str(tmp_path / "OUT" / "imaging.nii.gz")).GetPixelID() == image.GetPixelID()
    np.testing.assert_array_equal(array_of(tmp_path / "OUT" / "imaging.nii.gz"), sitk.GetArrayFromImage(image))


def test_the_resampled_grid_is_that_of_the_copy(write, tmp_path, direction):
    """Check that the grids are exactly equal, so that without resampling predictions are not interpolated."""
    outcome = prepare_case(write(".mha", scan_of(direction=direction)), tmp_path / "OUT", None)
    copy = sitk.DICOMOrient(sitk.ReadImage(str(tmp_path / "OUT" / "imaging.nii.gz")), "LPS")
    assert Grid.from_json(outcome.record["resampled"]) == Grid.of(copy)
    np.testing.assert_array_equal(array_of(tmp_path / "OUT" / "imaging_rs.nii.gz"), sitk.GetArrayFromImage(copy))


def test_compressed_nifti_is_linked(write, tmp_path):
    source = write(".nii.gz", scan_of())
    assert not prepare_case(source, tmp_path / "OUT", None).problem
    assert (tmp_path / "OUT" / "imaging.nii.gz").readlink() == source.image
    assert (tmp_path / "OUT" / "segmentation.nii.gz").readlink() == source.reference


@pytest.mark.parametrize("ending", [".nii.gz", *OTHER_ENDINGS])
def test_a_finished_case_is_skipped_until_its_scan_is_replaced(write, tmp_path, ending):
    source = write(ending, scan_of(0))
    assert not prepare_case(source, tmp_path / "OUT", None).skipped
    before = (tmp_path / "OUT" / "imaging.nii.gz").stat().st_mtime_ns
    assert prepare_case(source, tmp_path / "OUT", None).skipped
    assert (tmp_path / "OUT" / "imaging.nii.gz").stat().st_mtime_ns == before
    write(ending, scan_of(1))
    again = prepare_case(source, tmp_path / "OUT", None)
    assert not again.skipped
    assert not again.problem
    np.testing.assert_array_equal(array_of(tmp_path / "OUT" / "imaging.nii.gz"), sitk.GetArrayFromImage(scan_of(1)))


def test_new_voxels_with_an_old_header_are_noticed(write, tmp_path):
    source = write(".mhd", scan_of(0))
    prepare_case(source, tmp_path / "OUT", None)
    header = source.image.stat().st_mtime_ns
    voxels = source.image.with_suffix(".raw")
    voxels.write_bytes(voxels.read_bytes()[::-1])
    assert source.image.stat().st_mtime_ns == header
    assert not prepare_case(source, tmp_path / "OUT", None).skipped
    np.testing.assert_array_equal(array_of(tmp_path / "OUT" / "imaging.nii.gz"), array_of(source.image))


@pytest.mark.parametrize("ending", [".nii.gz", ".mha"])
@pytest.mark.parametrize("name", ["imaging.nii.gz", "segmentation.nii.gz"])
def test_a_deleted_original_is_restored(write, tmp_path, ending, name):
    source = write(ending, scan_of())
    prepare_case(source, tmp_path / "OUT", None)
    (tmp_path / "OUT" / name).unlink()
    assert not prepare_case(source, tmp_path / "OUT", None).problem
    assert (tmp_path / "OUT" / name).exists()


def test_a_run_killed_after_the_copy_can_be_completed(write, tmp_path):
    source = write(".mha", scan_of())
    prepare_case(source, tmp_path / "OUT", None)
    (tmp_path / "OUT" / "resampling.json").unlink()
    assert not prepare_case(source, tmp_path / "OUT", None).problem


@pytest.mark.parametrize("ending", [".nii.gz", ".mha"])
def test_a_reference_removed_from_the_data_set_is_removed_from_the_case(write, tmp_path, ending):
    prepare_case(write(ending, scan_of()), tmp_path / "OUT", None)
    outcome = prepare_case(write(ending, scan_of(), with_reference=False), tmp_path / "OUT", None)
    assert outcome.record["labels"] is None
    assert sorted(path.name for path in (tmp_path / "OUT").iterdir()) == [
        "imaging.nii.gz",
        "imaging_rs.nii.gz",
        "resampling.json",
    ]


@pytest.mark.parametrize("ending", [".nii.gz", ".mha"])
def test_a_foreign_scan_is_never_overwritten(write, tmp_path, ending):
    (tmp_path / "OUT").mkdir()
    sitk.WriteImage(scan_of(7), str(tmp_path / "OUT" / "imaging.nii.gz"))
    before = (tmp_path / "OUT" / "imaging.nii.gz").read_bytes()
    assert "already exists" in prepare_case(write(ending, scan_of()), tmp_path / "OUT", None).problem
    assert (tmp_path / "OUT" / "imaging.nii.gz").read_bytes() == before


def test_a_case_folder_given_by_another_path_is_not_damaged(write, tmp_path, monkeypatch):
    """Check that a link or a copy of an earlier run is not replaced by itself."""
    prepare_case(write(".mha", scan_of()), tmp_path / "OUT" / "case", None)
    monkeypatch.chdir(tmp_path)
    folder = (tmp_path / "OUT" / "case").relative_to(tmp_path)
    source = SourceCase("case", folder / "imaging.nii.gz", folder / "segmentation.nii.gz")
    assert not prepare_case(source, tmp_path / "OUT" / "case", (1.0, 1.0, 1.0)).problem
    np.testing.assert_array_equal(array_of(folder / "imaging.nii.gz"), sitk.GetArrayFromImage(scan_of()))


def truncated(content):
    return content[:-60]


def with_a_changed_byte(content):
    return content[:-60] + bytes([content[-60] ^ 255]) + content[-59:]


@pytest.mark.parametrize(
    ("ending", "compressed", "damage"),
    [
        (".nii", False, truncated),
        (".mha", False, truncated),
        (".mha", True, truncated),
        (".mha", True, with_a_changed_byte),
        (".nrrd", False, truncated),
        (".nrrd", True, truncated),
        (".nrrd", True, with_a_changed_byte),
        (".raw", False, truncated),
        (".zraw", True, truncated),
        (".zraw", True, with_a_changed_byte),
    ],
)
def test_a_damaged_file_is_refused_and_nothing_written(tmp_path, ending, compressed, damage):
    scan = tmp_path / f"scan{'.mhd' if 'raw' in ending else ending}"
    sitk.WriteImage(scan_of(), str(scan), compressed)
    voxels = scan.with_suffix(ending)
    voxels.write_bytes(damage(voxels.read_bytes()))
    problem = prepare_case(SourceCase("case", scan, None), tmp_path / "OUT", None).problem
    assert problem.startswith(f"{scan}: ")
    assert "replace the file by an intact copy" in problem
    assert "No such file" not in problem
    assert not (tmp_path / "OUT").exists()


def test_a_grid_that_nifti_cannot_represent_is_refused(tmp_path):
    """Check an origin at which single precision has a resolution of only 0.06 mm."""
    scan = tmp_path / "far.nrrd"
    image = scan_of()
    image.SetOrigin((9e5 + 0.025, 0.0, 0.0))
    sitk.WriteImage(image, str(scan))
    problem = prepare_case(SourceCase("case", scan, None), tmp_path / "OUT", None).problem
    assert "has a grid that NIfTI cannot represent (origin by 0.025 mm" in problem
    assert not list((tmp_path / "OUT").iterdir())
