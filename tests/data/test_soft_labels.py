import numpy as np
import pytest
import SimpleITK as sitk
from scipy.special import softmax

from base.errors import InputError
from base.label_classes import parse_classes
from data.cases import find_cases
from data.soft_labels import DEVIATION_UNITS, SoftLabels, find_soft_labels, quantise

CLASSES = parse_classes("0,1,2")


@pytest.fixture
def members():
    """Return probabilities of five members, float32 (members, classes, z, y, x)."""
    logits = np.random.default_rng(0).normal(0, 3, (5, 3, 4, 5, 6))
    return softmax(logits, axis=1).astype(np.float32)


def test_quantised_probabilities_sum_to_one_with_errors_below_a_250th(members):
    many = np.concatenate([members.mean(axis=0).reshape(3, -1), np.eye(3), [[0.5, 1 / 3, 0.2]] * 3], axis=1)
    many = many / many.sum(axis=0)
    units = quantise(many.astype(np.float32))
    assert units.dtype == np.uint8
    assert (units.sum(axis=0, dtype=int) == 255).all()
    assert np.abs(units / 255 - many).max() < 1 / 250


@pytest.fixture
def written(kidneys, tmp_path):
    """Write soft labels of the validation case; return them with the case, the mean and the deviation."""
    (case,) = find_cases(kidneys, "val")
    logits = np.random.default_rng(2).normal(0, 2, (3, *case.grid.shape))
    mean, deviation = softmax(logits, axis=0).astype(np.float32), np.abs(logits).astype(np.float32) / 30
    labels = SoftLabels(tmp_path / "val", CLASSES)
    record = {"weights": {}, "classes": CLASSES.to_json(), "temperature": 1.0}
    labels.begin(record, {case.name: case.fingerprint}, overwrite=False)
    labels.write(case, mean, deviation)
    return labels, case, mean, deviation


def test_a_file_that_replaces_another_is_refused(written):
    labels, case, *_ = written
    mean, deviation = (labels.folder / case.name / f"{name}_1.nii.gz" for name in ("mean", "deviation"))
    deviation.write_bytes(mean.read_bytes())
    with pytest.raises(
        InputError, match=r"deviation_1\.nii\.gz: is another file than was written here; remove the file"
    ):
        labels.read_deviation(case)


def test_written_soft_labels_are_read_back_as_bytes(written):
    labels, case, mean, _ = written
    assert labels.is_complete(case)
    read = labels.read_mean(case)
    assert read.dtype == np.uint8
    assert np.abs(read / 255 - mean).max() < 1 / 250


def test_files_are_plain_images_on_the_resampled_grid(written):
    labels, case, mean, deviation = written
    resampled = sitk.ReadImage(str(case.folder / "imaging_rs.nii.gz"))
    for index, name in enumerate(CLASSES.names):
        for statistic, units, expected in (("mean", 255, mean), ("deviation", DEVIATION_UNITS, deviation)):
            image = sitk.ReadImage(str(labels.folder / case.name / f"{statistic}_{name}.nii.gz"))
            assert image.GetPixelID() == sitk.sitkUInt8
            assert image.GetSize() == resampled.GetSize()
            np.testing.assert_allclose(image.GetOrigin(), resampled.GetOrigin(), atol=1e-4)
            np.testing.assert_allclose(image.GetSpacing(), resampled.GetSpacing(), atol=1e-4)
            np.testing.assert_allclose(image.GetDirection(), resampled.GetDirection(), atol=1e-4)
            assert np.abs(sitk.GetArrayFromImage(image) / units - expected[index]).max() < 1 / 250


def test_missing_moved_and_changed_files_are_refused(written):
    labels, case, *_ = written
    path = labels.folder / case.name / "mean_1.nii.gz"
    image = sitk.ReadImage(str(path))
    shifted = sitk.Image(image)
    shifted.SetOrigin([mm + 1 for mm in image.GetOrigin()])
    for changed, problem in ((shifted, "not on the case's resampled grid"), (image // 2, "do not sum to 1")):
        sitk.WriteImage(changed, str(path))
        with pytest.raises(InputError, match=problem) as error:
            labels.read_mean(case)
        assert "ensemble.py" in str(error.value)
    path.unlink()
    assert not labels.is_complete(case)
    with pytest.raises(InputError, match=r"missing.*ensemble\.py"):
        labels.read_mean(case)


def test_soft_labels_of_other_members_are_not_mixed(written):
    labels, case, *_ = written
    record = {**labels.read_record(), "weights": {"other": "0"}}
    fingerprints = record.pop("cases")
    with pytest.raises(InputError, match="--overwrite"):
        labels.begin(record, fingerprints, overwrite=False)
    labels.begin(record, fingerprints, overwrite=True)
    assert not labels.is_complete(case)


def test_soft_labels_of_a_changed_scan_are_removed(written):
    labels, case, *_ = written
    record = labels.read_record()
    fingerprints = record.pop("cases")
    labels.begin(record, fingerprints, overwrite=False)
    assert labels.is_complete(case)
    labels.begin(record, {case.name: {"image": "another"}}, overwrite=False)
    assert not labels.is_complete(case)


def test_missing_soft_labels_are_refused_with_the_remedy(written, tmp_path):
    labels, case, *_ = written
    find_soft_labels(labels.folder, CLASSES, 1.0, [case], "remedy")
    for folder, classes, temperature in (
        (tmp_path / "none", CLASSES, None),
        (labels.folder, parse_classes("0,3"), None),
        (labels.folder, CLASSES, 2.0),
    ):
        with pytest.raises(InputError, match="remedy"):
            find_soft_labels(folder, classes, temperature, [case], "remedy")
