import numpy as np
import pytest
import SimpleITK as sitk

from base.errors import InputError
from base.label_classes import parse_classes
from base.run_files import probability_path
from data.cases import Case
from data.layouts import SourceCase
from data.predictions import Scan
from data.preparation import prepare_case
from tests.material import image_of, write_case

CLASSES = parse_classes("0,2,5")


@pytest.fixture
def case(tmp_path, direction) -> Case:
    values = np.random.default_rng(0).integers(-1000, 1000, (12, 14, 16)).astype(np.int16)
    folder = write_case(tmp_path / "case", image_of(values, (0.8, 0.9, 3.1), (-7.0, 40.0, 12.0), direction), None)
    assert not prepare_case(SourceCase("case", folder / "imaging.nii.gz", None), folder, (1.5, 1.5, 2.5)).problem
    return Case(folder)


def test_the_prediction_is_the_argmax_of_the_written_probabilities(case, tmp_path):
    probabilities = np.random.default_rng(0).random((3, *case.grid.shape), np.float32)
    scan = Scan.of_case(case)
    scan.write(scan.decide(probabilities, CLASSES), tmp_path / "prediction.nii.gz")
    paths = [probability_path(tmp_path, case.name, name) for name in CLASSES.names]
    for share, path in zip(probabilities, paths):
        scan.write_map(share, path)
    written = np.stack([sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in paths])
    prediction = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "prediction.nii.gz")))
    np.testing.assert_array_equal(prediction, np.array([0, 2, 5])[written.argmax(axis=0)])


def test_a_scan_that_was_replaced_after_resampling_is_refused(case):
    path = case.folder / "imaging.nii.gz"
    image = sitk.ReadImage(str(path))
    sitk.WriteImage(image[:, :, 1:], str(path))
    with pytest.raises(InputError, match="is not the scan that was resampled"):
        Scan.of_case(case)
