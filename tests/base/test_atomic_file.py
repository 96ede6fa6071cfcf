import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from base.atomic_file import remove_abandoned, replacing, write_bytes
from base.errors import InputError
from base.json_files import write_json
from tests.processes import alone


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "record.json"
    write_json(path, {"seed": 1})
    before = path.read_text()
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_name_keeps_the_extensions(tmp_path):
    with replacing(tmp_path / "new" / "image.nii.gz") as temporary:
        assert temporary.name.endswith(".nii.gz")
        temporary.touch()
    assert (tmp_path / "new" / "image.nii.gz").exists()


def test_file_names_of_the_maximum_length_can_be_written(tmp_path):
    path = tmp_path / ("n" * 248 + ".nii.gz")
    write_bytes(path, b"1")
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_fails_verification_does_not_replace_the_old_one(tmp_path):
    def verify(temporary: Path) -> None:
        if temporary.read_bytes() != b"whole":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match=r"file: cannot be written \(the disk is full\); free some space"):  # noqa: SIM117
        with replacing(path, verify) as temporary:
            temporary.write_bytes(b"who")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def write_beyond_a_limit(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    with pytest.raises(InputError, match=r"file: cannot be written \(the file is larger than the limit for files"):
        write_bytes(path, b"0" * 2000)


def test_a_file_above_the_size_limit_is_refused_and_leaves_nothing(tmp_path):
    ended = alone(write_beyond_a_limit, tmp_path / "file")
    assert ended.status == 0, ended.output
    assert not list(tmp_path.iterdir())


def test_temporary_files_of_killed_processes_are_removed_and_those_in_use_are_kept(tmp_path):
    program = (
        "import os, sys; from base.atomic_file import replacing\n"
        "with replacing(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "killed.csv"], cwd=Path.cwd(), check=False)
    others = [tmp_path / name for name in (".partial.csv", ".hidden", "x.partial.csv", ".abc.partial.csv")]
    for path in others:
        path.touch()
    assert len(list(tmp_path.iterdir())) == 5
    with replacing(tmp_path / "living.csv") as temporary:
        remove_abandoned(tmp_path)
        assert sorted(tmp_path.iterdir()) == sorted([*others, temporary])
        temporary.write_text("whole")
    assert (tmp_path / "living.csv").read_text() == "whole"
