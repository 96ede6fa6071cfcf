"""Prediction of DICOM series (predict.py) as a user runs it."""

import numpy as np
import pytest
import SimpleITK as sitk

from data.images.dicom_series import same_locale
from tests.material import make_scan, rows_of


@pytest.fixture(scope="module")
def volume() -> sitk.Image:
    return make_scan()


@pytest.fixture(scope="module")
def network(save):
    """Return the weights of a network."""
    return save / "one" / "FINAL_one_30.pth"


def write_series(folder, image: sitk.Image, uid: str, prefix: str = "") -> None:
    """Write the slices of an image along its third axis as DICOM files, in no order of their names."""
    folder.mkdir(exist_ok=True, parents=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    direction = image.GetDirection()
    cosines = [direction[index] for index in (0, 3, 6, 1, 4, 7)]
    for number in range(image.GetDepth()):
        part = sitk.Cast(image[:, :, number], sitk.sitkInt16)
        for key, value in {
            "0008|0060": "CT",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"{uid}.{number + 1}",
            "0020|000e": uid,
            "0020|000d": "1.2.826.0.1.3680043.2.1125.9",
            "0020|0037": "\\".join(f"{value:.9g}" for value in cosines),
            "0020|0032": "\\".join(f"{value:.9g}" for value in image.TransformIndexToPhysicalPoint((0, 0, number))),
            "0020|0013": str(number + 1),
            "0028|0030": "\\".join(f"{value:.9g}" for value in (image.GetSpacing()[1], image.GetSpacing()[0])),
            "0018|0050": f"{image.GetSpacing()[2]:.9g}",
        }.items():
            part.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{prefix}{(7 * number) % 101:03d}.dcm"))
        with same_locale():
            writer.Execute(part)


def test_files_and_dicom_series_of_a_scan_are_predicted_alike(call, network, volume, tmp_path, monkeypatch):
    monkeypatch.setattr("stages.predict_scans.find_spec", lambda name: None)  # no overlays, which take time
    scans = tmp_path / "scans"
    scans.mkdir()
    for ending in (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd"):
        sitk.WriteImage(volume, str(scans / f"as{ending.replace('.', '_')}{ending}"))
    write_series(scans / "patient", volume, "1.2.826.0.1.3680043.2.1125.1")
    write_series(scans / "two", volume, "1.2.826.0.1.3680043.2.1125.2", "a")
    write_series(scans / "two", volume + 5, "1.2.826.0.1.3680043.2.1125.3", "b")
    (scans / "notes.txt").write_text("no image")
    (scans / "empty").mkdir()
    output = call("predict", "-i", scans, "-o", scans / "out", "-w", network)
    assert "notes.txt" in output
    assert "empty" in output
    names = sorted(path.name.removesuffix("_prediction.nii.gz") for path in (scans / "out").glob("*_prediction.nii.gz"))
    uids = ["1.2.826.0.1.3680043.2.1125.2", "1.2.826.0.1.3680043.2.1125.3"]
    assert [name for name in names if not name.startswith("1.2")] == [
        *("as_mha", "as_mhd", "as_nii", "as_nii_gz", "as_nrrd", "patient")
    ]
    assert [name for name in names if name.startswith("1.2")] == pytest.approx(uids)
    expected = sitk.ReadImage(str(scans / "out" / "as_nii_gz_prediction.nii.gz"))
    assert sitk.GetArrayViewFromImage(expected).any()
    for name in names:
        found = sitk.ReadImage(str(scans / "out" / f"{name}_prediction.nii.gz"))
        if name != uids[1]:
            np.testing.assert_array_equal(sitk.GetArrayFromImage(found), sitk.GetArrayFromImage(expected), name)
        assert found.GetSize() == volume.GetSize()
        np.testing.assert_allclose(found.GetOrigin(), volume.GetOrigin(), atol=1e-4)
        np.testing.assert_allclose(found.GetSpacing(), volume.GetSpacing(), atol=1e-5)


def test_a_series_that_lacks_a_slice_is_told_and_the_others_go_on(run, network, volume, tmp_path):
    scans = tmp_path / "scans"
    write_series(scans / "whole", volume, "1.2.826.0.1.3680043.2.1125.1")
    write_series(scans / "lacking", volume, "1.2.826.0.1.3680043.2.1125.2")
    (scans / "lacking" / "021.dcm").unlink()
    sitk.WriteImage(volume, str(scans / "cut.nii"))
    (scans / "cut.nii").write_bytes((scans / "cut.nii").read_bytes()[:-9])
    ended = run("predict.py", "-i", scans, "-o", tmp_path / "out", "-w", network, status=2)
    lines = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 3
    assert "cut.nii: is damaged" in lines[0]
    assert "lacking: holds a series whose slices lie" in lines[1]
    assert "no prediction of cut, lacking" in lines[2]
    assert (tmp_path / "out" / "whole_prediction.nii.gz").is_file()
    assert [row["scan"] for row in rows_of(tmp_path / "out" / "volumes.csv")] == ["whole"]


def change_element(path, key: str, value: str) -> None:
    """Write a slice anew with another value of an element."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.LoadPrivateTagsOn()
    with same_locale():
        image = reader.Execute()
        for known in reader.GetMetaDataKeys():
            image.SetMetaData(known, reader.GetMetaData(known))
        image.SetMetaData(key, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(path))
        writer.Execute(image)


def test_series_that_are_slanted_shifted_or_cut_off_are_told_in_one_line_each(run, network, volume, tmp_path):
    scans = tmp_path / "scans"
    for number, name in enumerate(("cut", "odd", "shifted", "tilted", "whole"), start=1):
        write_series(scans / name, volume, f"1.2.826.0.1.3680043.2.1125.{number}")
    direction = np.reshape(volume.GetDirection(), (3, 3))
    for number in range(volume.GetDepth()):
        place = np.array(volume.TransformIndexToPhysicalPoint((0, 0, number))) + number * direction[:, 1]
        path = scans / "tilted" / f"{(7 * number) % 101:03d}.dcm"
        change_element(path, "0020|0032", "\\".join(f"{value:.9g}" for value in place))
    place = np.array(volume.TransformIndexToPhysicalPoint((0, 0, 3))) + 20 * direction[:, 0]
    change_element(scans / "shifted" / "021.dcm", "0020|0032", "\\".join(f"{value:.9g}" for value in place))
    odd = scans / "odd" / "021.dcm"
    place = "\\".join(f"{value:.9g}" for value in volume.TransformIndexToPhysicalPoint((0, 0, 3))).encode()
    assert odd.read_bytes().count(place) == 1
    odd.write_bytes(odd.read_bytes().replace(place, b"x" * len(place)))
    cut = scans / "cut" / "021.dcm"
    cut.write_bytes(cut.read_bytes()[:-100])
    ended = run("predict.py", "-i", scans, "-o", tmp_path / "out", "-w", network, status=2)
    lines = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 5
    assert "021.dcm: is truncated" in lines[0]
    assert "021.dcm: does not say where its slice lies" in lines[1]
    assert all("mm aside of a straight stack" in line for line in lines[2:4])
    assert [row["scan"] for row in rows_of(tmp_path / "out" / "volumes.csv")] == ["whole"]
