import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from data.stored_arrays import stored
from tests.material import resident_bytes

ARRAYS = {
    "image": np.arange(-3000, 3000, dtype=np.int16).reshape(10, 20, 30),
    "nothing": np.zeros((0, 3), np.float32),
    "turned": np.arange(12, dtype=np.int64).reshape(3, 4).T,
}


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "folder" / "volumes"


def open_again(path, made_of=1):
    """What is in the file, and whether it had to be made."""
    calls = []

    def make():
        calls.append(None)
        return ARRAYS, {"made": [1.5, 2]}

    return stored(path, made_of, make), bool(calls)


def check(entry) -> None:
    assert entry.facts == {"made": [1.5, 2]}
    assert entry.arrays.keys() == ARRAYS.keys()
    for name, values in ARRAYS.items():
        assert entry.arrays[name].dtype == values.dtype
        np.testing.assert_array_equal(entry.arrays[name], values)


def test_arrays_are_made_once_and_come_back_as_they_were(path):
    for expected in (True, False, False):
        entry, made = open_again(path)
        check(entry)
        assert made is expected
    assert list(path.parent.iterdir()) == [path]


def cut_short(path):
    os.truncate(path, path.stat().st_size - 1)


def emptied(path):
    path.write_bytes(b"")


def another_file(path):
    path.write_text('["something else"]\n')


def damaged_in_the_middle(path):
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"?")


def removed(path):
    path.unlink()


def flipped_while_the_time_is_kept(path):
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-len(content) // 3] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def header_flipped_while_the_time_is_kept(path):
    status = path.stat()
    content = path.read_bytes()
    assert b"[1.5, 2]" in content
    path.write_bytes(content.replace(b"[1.5, 2]", b"[1.5, 3]"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def swapped(path):
    """For a file of the same size with other values."""
    other = path.with_name("other")
    stored(other, 1, lambda: ({name: values[::-1] for name, values in ARRAYS.items()}, {"made": [1.5, 2]}))
    content = bytearray(path.read_bytes())
    content[4096:] = other.read_bytes()[4096:]
    path.write_bytes(content)
    os.utime(path, (1_000_000_000, 1_000_000_000))


DAMAGES = [cut_short, emptied, another_file, damaged_in_the_middle, removed]
DAMAGES += [flipped_while_the_time_is_kept, header_flipped_while_the_time_is_kept, swapped]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_not_as_it_was_written_is_made_again(path, damage):
    open_again(path)
    damage(path)
    entry, made = open_again(path)
    check(entry)
    assert made
    assert not open_again(path)[1]


def test_a_file_put_in_the_place_of_another_is_made_again(path):
    """Even one made of the same values, such as of another case."""
    open_again(path)
    for other in (path.with_name("index"), path.parent.with_name("other_case") / path.name):
        other.parent.mkdir(exist_ok=True)
        shutil.copy2(path, other)
        assert open_again(other)[1]


def test_what_was_made_of_something_else_is_made_again(path):
    open_again(path)
    assert open_again(path, made_of=[["other"], 2])[1]
    assert not open_again(path, made_of=[["other"], 2])[1]


def test_a_making_that_fails_leaves_nothing(path):
    def fail():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        stored(path, 1, fail)
    assert open_again(path)[1]


def test_two_that_make_it_at_once_both_have_it(path):
    def make_meanwhile():
        check(open_again(path)[0])
        return ARRAYS, {"made": [1.5, 2]}

    check(stored(path, 1, make_meanwhile))
    assert not open_again(path)[1]


def test_files_are_not_kept_open_and_stay_readable_when_removed_or_released(path):
    descriptors = Path("/proc/self/fd")
    open_again(path)
    before = len(list(descriptors.iterdir()))
    entries = [open_again(path)[0] for _ in range(100)]
    assert len(list(descriptors.iterdir())) == before
    path.unlink()
    entry = entries[0]
    for _ in range(2):
        check(entry)
        assert resident_bytes(path) > 0
        entry.release()
        assert resident_bytes(path) == 0
