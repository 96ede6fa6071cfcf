import pytest

from base.atomic_file import replacing
from base.json_files import write_json


def test_a_file_that_fails_half_way_leaves_the_old_one(tmp_path):
    path = tmp_path / "record.json"
    write_json(path, {"seed": 1})
    before = path.read_text()
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_name_keeps_the_endings(tmp_path):
    with replacing(tmp_path / "new" / "image.nii.gz") as temporary:
        assert temporary.name.endswith(".nii.gz")
        temporary.touch()
    assert (tmp_path / "new" / "image.nii.gz").exists()
