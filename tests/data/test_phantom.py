import numpy as np
import SimpleITK as sitk

from data.image_files import to_array
from data.phantom import make_phantom


def test_a_phantom_is_kits_like():
    image, reference = make_phantom(3)
    for one in (image, reference):
        assert sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(one.GetDirection()) == "IPL"
    assert image.GetSpacing()[0] > 1.5 * image.GetSpacing()[1]  # the first axis is the slice axis
    intensities, labels = to_array(image), to_array(reference)
    assert intensities.min() < -900
    assert set(np.unique(labels)) == {0, 1, 2}
    kidney, tumour, rest = (intensities[labels == label].mean() for label in (1, 2, 0))
    assert kidney > tumour > rest


def test_a_seed_is_a_patient():
    one, again, other = make_phantom(1)[0], make_phantom(1)[0], make_phantom(2)[0]
    np.testing.assert_array_equal(sitk.GetArrayFromImage(one), sitk.GetArrayFromImage(again))
    assert one.GetSpacing() != other.GetSpacing()
    assert one.GetOrigin() != other.GetOrigin()
