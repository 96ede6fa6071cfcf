"""Tests of a disk that fills while an image is written: SimpleITK does not report it, so the file is verified."""

import resource
from pathlib import Path

import numpy as np
import pytest

from base.errors import InputError
from data.images.image_files import read_image, write_image
from tests.material import image_of
from tests.processes import alone

VALUES = np.random.default_rng(0).integers(0, 30_000, (20, 30, 40)).astype(np.int16)


def write_beyond_a_limit(path: Path, limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with pytest.raises(InputError, match=r"image\.nii\.gz: cannot be written \(the file is larger"):
        write_image(image_of(VALUES), path)


@pytest.mark.parametrize("limit", [0, 300, 20_000, 40_000])
def test_a_truncated_image_does_not_replace_the_old_one(tmp_path, limit):
    path = tmp_path / "image.nii.gz"
    write_image(image_of(VALUES[:3]), path)
    before = path.read_bytes()
    ended = alone(write_beyond_a_limit, path, limit)
    assert ended.status == 0, ended.output
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert read_image(path).GetSize() == (40, 30, 3)
