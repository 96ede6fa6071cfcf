"""Tests of invalid headers: each file is refused by name before it takes memory or time."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from base.errors import InputError
from data.images.image_files import read_image
from data.images.image_headers import read_header
from tests.material import image_of

VALUES = np.random.default_rng(0).integers(-1000, 1000, (4, 6, 5)).astype(np.int16)


def write(path: Path) -> bytes:
    sitk.WriteImage(image_of(VALUES, (0.7, 0.9, 2.5)), str(path))
    return path.read_bytes()


def refused(path: Path, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as error:
        read_image(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha", ".mhd", ".nrrd"])
def test_the_header_of_an_intact_file_is_read(tmp_path, ending):
    write(tmp_path / f"scan{ending}")
    header = read_header(tmp_path / f"scan{ending}")
    assert (header.size, header.bytes) == ((5, 6, 4), VALUES.nbytes)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(tmp_path / f"scan{ending}")), VALUES)


# Type and offset of fields in a NIfTI-1 header, an invalid value, and the expected error.
NIFTI = {
    "offset not a number": ("<f", 108, float("nan"), "voxels begin at byte nan"),
    "offset infinite": ("<f", 108, float("inf"), "voxels begin at byte inf"),
    "offset in the header": ("<f", 108, 10.0, "voxels begin at byte 10"),
    "offset beyond the file": ("<f", 108, 1e9, "bytes are missing"),
    "scale infinite": ("<f", 112, float("inf"), "scale is inf"),
    "intercept not a number": ("<f", 116, float("nan"), "intercept nan"),
    "voxel size not a number": ("<f", 80, float("nan"), "voxel sizes are nan"),
    "voxel size infinite": ("<f", 84, float("inf"), "voxel sizes are 0.7, inf"),
    "voxel size absurd": ("<f", 84, 1e30, r"voxel sizes are 0.7, 1e\+30"),
    "voxel size 0": ("<f", 84, 0.0, "voxel sizes are 0.7, 0"),
    "no such type": ("<h", 70, 999, "damaged"),
    "bits of another type": ("<h", 72, 64, "64 bits per voxel"),
    "negative size": ("<h", 42, -5, "its size is -5"),
    "too many dimensions": ("<h", 40, 300, "dimensions"),
    "another magic": ("<4s", 344, b"xxxx", "not that of a single NIfTI file"),
    "sform not a number": ("<f", 280, float("nan"), "sform"),
    "quaternion absurd": ("<f", 256, 1e20, "quaternion"),
}


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("field", NIFTI.values(), ids=NIFTI)
def test_invalid_fields_of_nifti_are_refused(tmp_path, ending, field):
    kind, offset, value, problem = field
    content = bytearray(write(tmp_path / "scan.nii"))
    struct.pack_into(kind, content, offset, value)
    path = tmp_path / f"damaged{ending}"
    path.write_bytes(gzip.compress(content) if ending == ".nii.gz" else bytes(content))
    refused(path, problem)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_header_that_declares_more_than_fits_into_memory_is_refused(tmp_path, ending):
    content = bytearray(write(tmp_path / "scan.nii"))
    struct.pack_into("<3h", content, 42, 30_000, 30_000, 30_000)
    path = tmp_path / f"damaged{ending}"
    path.write_bytes(gzip.compress(content) if ending == ".nii.gz" else bytes(content))
    refused(path, r"its header declares 5.4e\+04 GB of voxels \(30000 × 30000 × 30000\)")


def test_a_stream_longer_than_declared_is_not_read_to_its_end(tmp_path):
    content = write(tmp_path / "scan.nii")
    path = tmp_path / "endless.nii.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(content)
        for _ in range(16):
            file.write(bytes(2**24))
    with path.open("ab") as file:
        file.write(b"never reached")
    refused(path, "it contains more data than its header declares")


META = {
    b"%s%n%s%n.raw 1 3 1": "names '%s%n%s%n.raw 1 3 1' as the file of its voxels",
    b"/etc/passwd": "names '/etc/passwd'",
    b"../scan.raw": "names '../scan.raw'",
    b"LIST": "names 'LIST'",
    b"nowhere.raw": "nowhere.raw: there is no such file",
}


@pytest.mark.parametrize(("name", "problem"), META.items())
def test_voxels_are_only_read_from_the_folder_of_the_header(tmp_path, name, problem):
    content = write(tmp_path / "scan.mhd")
    (tmp_path / "damaged.mhd").write_bytes(content.replace(b"scan.raw", name))
    with pytest.raises(InputError, match=problem):
        read_image(tmp_path / "damaged.mhd")


def test_voxels_of_nrrd_are_only_read_from_the_folder_of_the_header(tmp_path):
    head, _, voxels = write(tmp_path / "scan.nrrd").partition(b"\n\n")
    (tmp_path / "voxels.raw").write_bytes(voxels)
    head = head.replace(b"encoding: gzip", b"encoding: raw")
    whole = head + b"\ndata file: voxels.raw\n"
    (tmp_path / "beside.nrrd").write_bytes(whole)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(tmp_path / "beside.nrrd")), VALUES)
    for name in (b"/etc/passwd", b"../voxels.raw", b"voxels%03d.raw 1 3 1", b"LIST"):
        (tmp_path / "damaged.nrrd").write_bytes(whole.replace(b"voxels.raw", name))
        refused(tmp_path / "damaged.nrrd", "as the file of its voxels")


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        (b"NDims = 3", b"NDims = 1000000000", "1000000000 dimensions"),
        (b"DimSize = 5 6 4", b"DimSize = 5 6", "3 dimensions and 2 sizes"),
        (b"DimSize = 5 6 4", b"DimSize = 5 6 400", "bytes are missing"),
        (b"DimSize = 5 6 4", b"DimSize = 5 6 four", "damaged"),
        (b"ElementSpacing = 0", b"ElementSpacing = -0", "voxel sizes are -0.7"),
        (b"ElementType = MET_SHORT", b"ElementType = MET_NONE", "of type 'MET_NONE'"),
        (b"CompressedData = False", b"CompressedData = 1e400", "its CompressedData is '1e400'"),
        (b"OrderMSB = False", b"OrderMSB = 1e-30", "its BinaryDataByteOrderMSB is '1e-30'"),
        (b"ElementDataFile = LOCAL", b"ElementDataPlace = LOCAL", "no ElementDataFile"),
    ],
)
def test_invalid_fields_of_metaimage_are_refused(tmp_path, field, value, problem):
    content = write(tmp_path / "scan.mha")
    assert field in content
    (tmp_path / "damaged.mha").write_bytes(content.replace(field, value))
    refused(tmp_path / "damaged.mha", problem)


def test_a_wrong_compressed_size_is_refused(tmp_path):
    """Check the size, because SimpleITK reads exactly CompressedDataSize bytes and leaves remaining voxels unset."""
    sitk.WriteImage(image_of(VALUES), str(tmp_path / "scan.mha"), True)
    content = (tmp_path / "scan.mha").read_bytes()
    read_image(tmp_path / "scan.mha")
    size = content.partition(b"CompressedDataSize = ")[2].partition(b"\n")[0]
    for wrong, problem in ((b"10", "data end too early"), (b"99999", "does not fit the file"), (b"", "missing")):
        (tmp_path / "damaged.mha").write_bytes(content.replace(b"Size = " + size, b"Size = " + wrong))
        refused(tmp_path / "damaged.mha", problem)


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.nii.gz")
    (tmp_path / "device.nii.gz").symlink_to("/dev/zero")
    (tmp_path / "folder.nii.gz").mkdir()
    for name in ("pipe", "device", "folder"):
        refused(tmp_path / f"{name}.nii.gz", "is not a regular file")
