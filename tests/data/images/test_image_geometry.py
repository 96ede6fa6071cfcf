"""Tests of headers that programs interpret differently: predictions must align with the scan in each of them."""

import gzip
import struct

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from nibabel.cmdline.convert import main as nib_convert
from nibabel.processing import resample_to_output

from base.errors import InputError
from base.label_classes import parse_classes
from base.run_files import probability_path
from data.cases import Case
from data.images.image_files import Grid, read_image
from data.layouts import SourceCase
from data.predictions import Scan
from data.preparation import prepare_case
from tests.material import DIRECTIONS, image_of

SPACING = (0.7, 1.1, 3.0)
SHAPE = (9, 8, 5)
CLASSES = parse_classes("0,1")
CODES = [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (1, 4), (3, 3)]


def affine_of(directions, origin) -> np.ndarray:
    """Return the affine matrix of a NIfTI file (RAS) whose axes are the columns of `directions` (LPS)."""
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ directions * SPACING
    affine[:3, 3] = origin
    return affine


def write_nifti(path, values, quaternion, matrix, codes) -> None:
    """Write values (x, y, z) as NIfTI with a qform and an sform."""
    image = nibabel.Nifti1Image(values, None)
    image.header.set_zooms(SPACING)
    image.header.set_qform(quaternion, codes[0], strip_shears=True)
    image.header.set_sform(matrix, codes[1])
    nibabel.save(nibabel.Nifti1Image(values, None, image.header), path)


def fields_of(path) -> dict:
    """Return the header fields of a file that define its geometry."""
    header = nibabel.load(path).header
    names = [name for name in header if name.startswith(("quatern", "qoffset", "srow", "qform", "sform", "xyzt"))]
    return {name: header[name].tolist() for name in names} | {"pixdim": header["pixdim"][:4].tolist()}


@pytest.fixture
def scans(tmp_path, direction):
    """Return case folders by their scans, which have all combinations of matrices and codes."""
    quaternion = affine_of(np.reshape(direction, (3, 3)), (50, 60, -20))
    matrix = affine_of(DIRECTIONS["oblique"] @ np.reshape(direction, (3, 3)), (10, -5, 33))
    values = np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)
    made = {}
    for codes in CODES:
        for ending in (".nii.gz", ".nii"):
            path = tmp_path / f"scan{codes[0]}{codes[1]}{ending}"
            write_nifti(path, values, quaternion, matrix, codes)
            folder = tmp_path / f"{path.name} resampled"
            assert not prepare_case(SourceCase("case", path, None), folder, (1.0, 1.0, 2.0)).problem
            made[path] = Case(folder)
    return made


def test_predictions_have_the_geometry_of_the_scan(scans, tmp_path):
    """Check that the geometry agrees in nibabel, in SimpleITK, and in both matrices of the header."""
    for path, case in scans.items():
        scan = Scan.of_case(case)
        probabilities = np.random.default_rng(1).random((2, *case.grid.shape), np.float32)
        labels = scan.decide(probabilities, CLASSES)
        scan.write_map(probabilities[1], probability_path(tmp_path, case.name, "1"))
        scan.write(labels, tmp_path / "prediction.nii.gz")
        scan.write_map(np.ones(case.grid.shape, np.float32), tmp_path / "map.nii.gz")
        written = [tmp_path / "prediction.nii.gz", tmp_path / "map.nii.gz", case.folder / "imaging.nii.gz"]
        for one in (*written, probability_path(tmp_path, case.name, "1")):
            assert fields_of(one) == fields_of(path), path
            np.testing.assert_array_equal(nibabel.load(one).affine, nibabel.load(path).affine)
            assert Grid.of(sitk.ReadImage(str(one))) == Grid.of(sitk.ReadImage(str(path)))
            assert nibabel.load(one).shape == SHAPE


def test_predictions_keep_their_values_and_type(scans, tmp_path):
    case = next(iter(scans.values()))
    scan = Scan.of_case(case)
    labels = np.random.default_rng(1).integers(0, 3, Scan.of_case(case).array().shape).astype(np.uint8)
    scan.write(labels, tmp_path / "prediction.nii.gz")
    written = sitk.DICOMOrient(sitk.ReadImage(str(tmp_path / "prediction.nii.gz")), "LPS")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(written), labels)
    assert nibabel.load(tmp_path / "prediction.nii.gz").get_data_dtype() == np.uint8


@pytest.mark.parametrize("shape", [(9, 8, 1), (9, 8, 5, 1), (9, 8, 5, 1, 1)])
def test_scans_of_one_slice_or_with_singleton_dimensions_are_supported(tmp_path, shape):
    matrix = affine_of(DIRECTIONS["oblique"], (10, -5, 33))
    image = nibabel.Nifti1Image(np.zeros(shape, np.int16), matrix)
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, tmp_path / "imaging.nii.gz")
    assert not prepare_case(SourceCase("case", tmp_path / "imaging.nii.gz", None), tmp_path, None).problem
    scan = Scan.of_case(Case(tmp_path))
    scan.write(np.zeros(scan.array().shape, np.uint8), tmp_path / "prediction.nii.gz")
    written = nibabel.load(tmp_path / "prediction.nii.gz")
    np.testing.assert_allclose(written.affine, nibabel.load(tmp_path / "imaging.nii.gz").affine, rtol=1e-6)
    assert written.shape == (shape[:3])


def problem_of(path) -> str:
    with pytest.raises(InputError) as error:
        read_image(path)
    assert str(path) in str(error.value)
    assert "intact copy" not in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


PLAIN = affine_of(np.eye(3), (10, 20, 30))
SHEARED, SINGULAR, SCALED = PLAIN.copy(), PLAIN.copy(), PLAIN.copy()
SHEARED[0, 2] = 0.4
SINGULAR[:, 2] = 0
SCALED[:3, :3] *= 1.2


def write_scan(path, matrix, codes):
    write_nifti(path, np.random.default_rng(0).integers(0, 99, SHAPE).astype(np.int16), PLAIN, matrix, codes)
    return path


@pytest.mark.parametrize("codes", [(0, 1), (0, 2), (1, 1)])
def test_a_sheared_matrix_is_refused_and_the_remedy_works(tmp_path, codes):
    path = write_scan(tmp_path / "scan.nii.gz", SHEARED, codes)
    problem = problem_of(path)
    assert "has a sheared matrix (its axes are 7.6° off right angles)" in problem
    assert "nibabel.processing.resample_to_output (order=0 for references)" in problem
    nibabel.save(resample_to_output(nibabel.load(path), SPACING, order=0), path)
    assert read_image(path).GetSpacing() == pytest.approx(SPACING)


@pytest.mark.parametrize("slant", [0.001, 0.003, 0.006, 0.009])
def test_a_slightly_sheared_matrix_is_accepted_or_refused_as_sheared(tmp_path, slant):
    """Check that the file is not reported as damaged, although ITK's tolerance differs from this program's."""
    matrix = PLAIN.copy()
    matrix[0, 2] = slant
    path = write_scan(tmp_path / "scan.nii.gz", matrix, (0, 1))
    try:
        read_image(path)
    except InputError:
        assert "has a sheared matrix" in problem_of(path)


@pytest.mark.parametrize("matrix", [SHEARED, SCALED])
def test_a_sheared_or_scaled_sform_is_accepted_if_the_qform_is_used(tmp_path, matrix):
    image = read_image(write_scan(tmp_path / "scan.nii.gz", matrix, (1, 4)))
    assert image.GetOrigin() == pytest.approx((-10, -20, 30))
    assert image.GetSpacing() == pytest.approx(SPACING)


@pytest.mark.parametrize("codes", [(0, 1), (1, 1), (1, 2)])
def test_a_singular_matrix_is_refused(tmp_path, codes):
    path = write_scan(tmp_path / "scan.nii.gz", SINGULAR, codes)
    assert "has a singular matrix" in problem_of(path)
    if codes[0]:
        assert "image.set_sform(None, 0)" in problem_of(path)
        image = nibabel.load(path)
        image.set_sform(None, 0)
        nibabel.save(image, tmp_path / "corrected.nii.gz")
        assert read_image(tmp_path / "corrected.nii.gz").GetOrigin() == pytest.approx((-10, -20, 30))


def test_voxel_sizes_that_contradict_each_other_are_refused(tmp_path):
    path = write_scan(tmp_path / "scan.nii.gz", SCALED, (0, 1))
    assert "has voxels of 0.7 × 1.1 × 3 mm by its pixdim, but of 0.84 × 1.32 × 3.6 mm by its sform" in problem_of(path)
    set_spacing(path, SPACING)


def set_spacing(path, spacing) -> None:
    """Apply the remedy of the error message."""
    assert "SimpleITK: image.SetSpacing" in problem_of(path)
    image = sitk.ReadImage(str(path))
    image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path))
    assert read_image(path).GetSpacing() == pytest.approx(spacing)


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (0, 0), (1, 1)])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_voxel_size_of_0_is_refused_and_the_remedy_works(tmp_path, codes, ending):
    path = write_scan(tmp_path / f"scan{ending}", PLAIN, codes)
    content = path.read_bytes()
    content = bytearray(gzip.decompress(content) if ending == ".nii.gz" else content)
    struct.pack_into("<f", content, 76 + 4 * 3, 0.0)  # pixdim[3]
    path.write_bytes(gzip.compress(content) if ending == ".nii.gz" else content)
    assert "does not say how large a voxel is (its voxel sizes are 0.7, 1.1, 0 mm)" in problem_of(path)
    set_spacing(path, SPACING)


@pytest.mark.parametrize(
    ("ending", "field", "value", "problem"),
    [
        (".mha", b"ElementSpacing = 1 1 2", b"ElementSpacing = 1 1 0", "true sizes into its header (ElementSpacing)"),
        (".mha", b"= 1 0 0 0 1 0 0 0 1", b"= 1 0 0 0 1 0 1 0 0", "singular matrix"),
        (".mha", b"= 1 0 0 0 1 0 0 0 1", b"= 1 0 0 0 1 0 0 0 0", "singular matrix"),
        (".mha", b"= 1 0 0 0 1 0 0 0 1", b"= 1 0 0 0 1 0 0.1 0 1", "SimpleITK.Resample (sitkNearestNeighbor for"),
        (".nrrd", b"(0,0,2)", b"(0,0,0)", "true sizes into its header (space directions)"),
        (".nrrd", b"(0,0,2)", b"none", "true sizes into its header (space directions)"),
        (".nrrd", b"(0,0,2)", b"(0,1,0)", "singular matrix"),
        (".nrrd", b"(0,0,2)", b"(0.3,0,2)", "has a sheared matrix"),
    ],
)
def test_invalid_geometry_in_other_formats_is_refused(tmp_path, ending, field, value, problem):
    path = tmp_path / f"scan{ending}"
    sitk.WriteImage(image_of(np.zeros((4, 6, 5), np.int16), (1.0, 1.0, 2.0)), str(path))
    content = path.read_bytes()
    assert field in content
    path.write_bytes(content.replace(field, value))
    assert problem in problem_of(path)


def test_nifti_2_is_refused_and_the_remedy_works(tmp_path):
    values = np.random.default_rng(0).integers(0, 99, SHAPE).astype(np.int16)
    nibabel.save(nibabel.Nifti2Image(values, PLAIN), tmp_path / "scan.nii.gz")
    assert "nib-convert --image-type Nifti1Image" in problem_of(tmp_path / "scan.nii.gz")
    converted = tmp_path / "converted.nii.gz"
    nib_convert([str(tmp_path / "scan.nii.gz"), str(converted), "--image-type", "Nifti1Image"])
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(converted)).T, values)
