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
    """Return the stored arrays, and whether they had to be computed."""
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


def test_arrays_are_computed_once_and_read_back_unchanged(path):
    for expected in (True, False, False):
        entry, made = open_again(path)
        check(entry)
        assert made is expected
    assert list(path.parent.iterdir()) == [path]


def truncated(path):
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


def bit_flipped_with_time_kept(path):
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-len(content) // 3] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def header_changed_with_time_kept(path):
    status = path.stat()
    content = path.read_bytes()
    assert b"[1.5, 2]" in content
    path.write_bytes(content.replace(b"[1.5, 2]", b"[1.5, 3]"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def swapped(path):
    """Replace the arrays by those of another file of the same size."""
    other = path.with_name("other")
    stored(other, 1, lambda: ({name: values[::-1] for name, values in ARRAYS.items()}, {"made": [1.5, 2]}))
    content = bytearray(path.read_bytes())
    content[4096:] = other.read_bytes()[4096:]
    path.write_bytes(content)
    os.utime(path, (1_000_000_000, 1_000_000_000))


DAMAGES = [truncated, emptied, another_file, damaged_in_the_middle, removed]
DAMAGES += [bit_flipped_with_time_kept, header_changed_with_time_kept, swapped]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_computed_again(path, damage):
    open_again(path)
    damage(path)
    entry, made = open_again(path)
    check(entry)
    assert made
    assert not open_again(path)[1]


def test_a_file_copied_from_another_path_is_computed_again(path):
    """Check that a file is not accepted at another path even if `made_of` is equal, as for another case."""
    open_again(path)
    for other in (path.with_name("index"), path.parent.with_name("other_case") / path.name):
        other.parent.mkdir(exist_ok=True)
        shutil.copy2(path, other)
        assert open_again(other)[1]


def test_a_file_made_of_other_inputs_is_computed_again(path):
    open_again(path)
    assert open_again(path, made_of=[["other"], 2])[1]
    assert not open_again(path, made_of=[["other"], 2])[1]


def test_a_failed_computation_leaves_no_file(path):
    def fail():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        stored(path, 1, fail)
    assert open_again(path)[1]


def test_concurrent_computations_both_succeed(path):
    def make_while_another_writes():
        check(open_again(path)[0])
        return ARRAYS, {"made": [1.5, 2]}

    check(stored(path, 1, make_while_another_writes))
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
