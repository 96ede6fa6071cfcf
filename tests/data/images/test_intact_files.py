import numpy as np
import pytest
import SimpleITK as sitk

from base.errors import InputError
from data.images.image_files import read_image
from tests.material import image_of


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path, ending, value):
    array = np.zeros((3, 4, 5), np.float32)
    path = tmp_path / f"image{ending}"
    sitk.WriteImage(image_of(array), str(path))
    assert not sitk.GetArrayFromImage(read_image(path)).any()
    array[1, 2, 3] = value
    sitk.WriteImage(image_of(array), str(path))
    with pytest.raises(InputError, match="not finite"):
        read_image(path)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd"])
@pytest.mark.parametrize("kept", [0.1, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, ending, kept):
    array = np.random.default_rng(0).integers(0, 1000, (10, 20, 30)).astype(np.int16)
    path = tmp_path / f"image{ending}"
    sitk.WriteImage(image_of(array), str(path))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError, match=f"image{ending}"):
        read_image(path)
