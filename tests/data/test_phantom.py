import numpy as np
import pytest
import SimpleITK as sitk

from base.errors import InputError
from data.images.image_files import to_array
from data.phantom import make_phantom, write_phantoms


def test_phantoms_do_not_replace_other_scans(tmp_path):
    small = {"shape": (6, 16, 16), "spacing_mm": (20.0, 12.0, 12.0)}
    write_phantoms(tmp_path, 2, **small)
    (tmp_path / "case_00001" / "segmentation.nii.gz").unlink()
    write_phantoms(tmp_path, 2, **small)  # as if killed before the reference was written
    assert (tmp_path / "case_00001" / "segmentation.nii.gz").exists()
    (tmp_path / "case_00001" / "segmentation.nii.gz").unlink()
    scan = tmp_path / "case_00001" / "imaging.nii.gz"
    scan.write_bytes((tmp_path / "case_00000" / "imaging.nii.gz").read_bytes())
    before = scan.read_bytes()
    with pytest.raises(InputError, match=r"imaging\.nii\.gz: is another scan"):
        write_phantoms(tmp_path, 2, **small)
    assert scan.read_bytes() == before


def test_a_phantom_resembles_kits_data():
    image, reference = make_phantom(3)
    for one in (image, reference):
        assert sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(one.GetDirection()) == "IPL"
    assert image.GetSpacing()[0] > 1.5 * image.GetSpacing()[1]  # the first axis is the slice axis
    intensities, labels = to_array(image), to_array(reference)
    assert intensities.min() < -900
    assert set(np.unique(labels)) == {0, 1, 2}
    kidney, tumour, rest = (intensities[labels == label].mean() for label in (1, 2, 0))
    assert kidney > tumour > rest


def test_the_seed_determines_the_phantom():
    one, again, other = make_phantom(1)[0], make_phantom(1)[0], make_phantom(2)[0]
    np.testing.assert_array_equal(sitk.GetArrayFromImage(one), sitk.GetArrayFromImage(again))
    assert one.GetSpacing() != other.GetSpacing()
    assert one.GetOrigin() != other.GetOrigin()
