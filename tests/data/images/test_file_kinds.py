"""Tests of files whose content does not match their name: the error names the true kind and the remedy."""

import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from base.errors import InputError
from data.images.image_files import read_image
from data.layouts import SourceCase
from data.originals import stamps_of
from data.preparation import prepare_case
from networks.torch_files import read_torch_file
from tests.material import image_of


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> bytes:
    """Return the content of an uncompressed NIfTI file."""
    path = tmp_path_factory.mktemp("plain") / "scan.nii"
    sitk.WriteImage(image_of(np.zeros((3, 4, 5), np.int16)), str(path))
    return path.read_bytes()


def read(path, content: bytes):
    path.write_bytes(content)
    return read_image(path)


def test_files_named_gz_that_are_not_gzip_are_refused(tmp_path, plain):
    with pytest.raises(InputError, match=r"scan\.nii\.gz: is named \.gz but is not compressed; rename it to scan\.nii"):
        read(tmp_path / "scan.nii.gz", plain)
    with pytest.raises(InputError, match=r"is not gzip but a ZIP archive"):
        read(tmp_path / "scan.nii.gz", b"PK\3\4" + plain)
    with pytest.raises(InputError, match=r"is not gzip"):
        read(tmp_path / "scan.NII.GZ", b"noise" + plain)


@pytest.mark.parametrize("name", ["scan.nii", "scan.mha", "scan.nrrd"])
def test_gzip_files_not_named_gz_are_refused(tmp_path, plain, name):
    remedy = "rename it to scan.nii.gz" if name == "scan.nii" else "unpack it"
    with pytest.raises(InputError, match=rf"{name}: is compressed with gzip but not named \.gz; {remedy}"):
        read(tmp_path / name, gzip.compress(plain))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty; fetch it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "pointer of Git LFS.*git lfs pull"),
        (b"/annex/objects/MD5E-s1--00.nii.gz\n", "pointer of git-annex.*git annex get"),
        (b"\n<!DOCTYPE html><html>", "is a web page"),
    ],
)
def test_placeholders_are_refused(tmp_path, content, problem):
    with pytest.raises(InputError, match=problem):
        read(tmp_path / "scan.nii.gz", content)


def test_a_broken_link_is_refused(tmp_path):
    link = tmp_path / "scan.nii.gz"
    link.symlink_to("../.git/annex/objects/X")
    for function in (read_image, stamps_of):
        with pytest.raises(InputError, match=r"is a link to ../.git/annex/objects/X, which does not exist; fetch"):
            function(link)


def test_a_missing_permission_is_reported_wherever_it_is_noticed(tmp_path, plain, monkeypatch):
    """Check the error if opening fails, because a network share may report an unreadable file as readable."""

    def refuse(self, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(self))

    path = tmp_path / "scan.nii"
    path.write_bytes(plain)
    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(InputError, match=r"scan\.nii: cannot be read \(no permission\); check its permissions"):
        read_image(path)
    monkeypatch.setattr("zipfile.ZipFile", lambda path: refuse(path))
    with pytest.raises(InputError, match=r"cannot be read \(no permission\)"):
        read_torch_file(path, "")
    monkeypatch.setattr("pathlib.Path.exists", refuse)
    problem = prepare_case(SourceCase("case", path, None), tmp_path / "case", None).problem
    assert "Permission denied; check the path, its permissions" in problem
