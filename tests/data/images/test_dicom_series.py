"""Volumes of DICOM slices that differ from each other, or are alone."""

import numpy as np
import pytest
import SimpleITK as sitk

from base.errors import InputError
from data.images.dicom_series import read_series, same_locale
from data.images.image_files import to_array

UID = "1.2.826.0.1.3680043.2.1125.1"
ELEMENTS = {
    "0008|0060": "PT",
    "0008|0016": "1.2.840.10008.5.1.4.1.1.128",
    "0020|000e": UID,
    "0020|000d": "1.2.826.0.1.3680043.2.1125.9",
    "0020|0037": "1\\0\\0\\0\\1\\0",
    "0018|0050": "5",
}
STORED = {"0028|0100": "16", "0028|0101": "16", "0028|0102": "15", "0028|0103": "0"}


def write_slice(path, number: int, value: float, pixel_type=sitk.sitkInt16, side_mm=1.5, **changes: str):
    """Write a slice at `number` times 5 mm, and return its path."""
    image = sitk.Cast(sitk.GetImageFromArray(np.full((4, 6), value)), pixel_type)
    image.SetSpacing((side_mm, side_mm))
    place = {"0008|0018": f"{UID}.{number + 1}", "0020|0013": str(number + 1), "0020|0032": f"0\\0\\{5 * number}"}
    for key, text in {**ELEMENTS, **place, **changes}.items():
        if text:
            image.SetMetaData(key, text)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    with same_locale():
        writer.Execute(image)
    return path


@pytest.mark.parametrize(("slope", "values"), [("0.001", (0, 0.75, 1.25)), ("10", (1000, 90000, 70000))])
def test_slices_that_are_rescaled_each_by_itself_keep_their_values(tmp_path, slope, values):
    """The first slice is of whole numbers of 16 bits, which the others do not fit."""
    rescaled = {"0028|1053": slope, "0028|1052": "0", **STORED}
    files = [write_slice(tmp_path / "0.dcm", 0, values[0], **STORED, **{"0028|1053": "1", "0028|1052": "0"})]
    files += [write_slice(tmp_path / f"{n}.dcm", n, values[n], sitk.sitkFloat64, **rescaled) for n in (1, 2)]
    found = to_array(read_series(tmp_path, tuple(files)))
    np.testing.assert_allclose(found[:, 0, 0], values, rtol=1e-6)


def test_slices_of_one_type_keep_it(tmp_path):
    files = [write_slice(tmp_path / f"{n}.dcm", n, 100 + n) for n in range(3)]
    image = read_series(tmp_path, tuple(files))
    assert image.GetPixelID() == sitk.sitkInt16
    assert to_array(image)[:, 0, 0].tolist() == [100, 101, 102]


def test_a_single_slice_is_as_thick_as_it_says(tmp_path):
    image = read_series(tmp_path, (write_slice(tmp_path / "a.dcm", 0, 1),))
    assert image.GetSpacing() == (1.5, 1.5, 5)
    for number, changes in enumerate(({"0018|0050": ""}, {"0018|0050": "0"}, {"0018|0050": "", "0028|0008": "1"})):
        path = write_slice(tmp_path / f"{number}.dcm", 0, 1, **changes)
        with pytest.raises(InputError, match="a single slice that does not say how thick it is"):
            read_series(tmp_path, (path,))


def test_slices_with_other_voxels_are_refused(tmp_path):
    files = [write_slice(tmp_path / f"{n}.dcm", n, 1) for n in range(2)]
    files.append(write_slice(tmp_path / "2.dcm", 2, 1, side_mm=3.0))
    with pytest.raises(InputError, match=r"whose voxels are 1\.5 to 3 mm wide"):
        read_series(tmp_path, tuple(files))
