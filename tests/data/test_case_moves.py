"""Tests of moving case folders to their split: links stay valid, and an interruption at any step loses nothing."""

import errno
import os
import sys
import warnings
from itertools import count
from pathlib import Path

import pytest

from base.errors import InputError
from data.case_moves import finish_moves, move_to_split

KILLED = 9


def make_root(folder: Path, linked_folder: bool = False) -> Path:
    """Make a data folder with a case: a file, a relative link to a store, and a relative link within the case."""
    store, case = folder / "store", folder / "root" / "case"
    (store / "case").mkdir(parents=True)
    (store / "scan").write_bytes(b"scan" * 1000)
    if linked_folder:
        case.parent.mkdir()
        case.symlink_to("../store/case")
        case = store / "case"
    else:
        (case / "notes").mkdir(parents=True)
        (case / "notes" / "again").symlink_to("../reference")
    (case / "reference").write_bytes(b"reference" * 1000)
    (case / "imaging").symlink_to(os.path.relpath(store / "scan", case))
    return folder / "root"


def contents_of(case: Path) -> list[bytes]:
    names = ["imaging", "reference"] + (["notes/again"] if (case / "notes").exists() else [])
    return [(case / name).read_bytes() for name in names]


@pytest.mark.parametrize("linked_folder", [False, True])
@pytest.mark.parametrize("linked_split", [False, True])
def test_relative_links_keep_their_targets_and_stay_relative(tmp_path, linked_folder, linked_split):
    root = make_root(tmp_path, linked_folder)
    if linked_split:
        (tmp_path / "deep" / "deeper").mkdir(parents=True)
        (root / "train").symlink_to(tmp_path / "deep" / "deeper")
    before = contents_of(root / "case")
    for split, parent in (("train", root), ("val", root / "train")):
        assert move_to_split(parent / "case", root, split) == ""
        assert contents_of(root / split / "case") == before
    link = root / "val" / "case"
    assert not (link if linked_folder else link / "imaging").readlink().is_absolute()
    assert [path.name for path in root.iterdir() if path.name not in ("train", "val")] == []


def test_a_broken_link_is_moved_unchanged(tmp_path):
    root = make_root(tmp_path)
    (tmp_path / "store" / "scan").rename(tmp_path / "elsewhere")  # as in git-annex before a download
    move_to_split(root / "case", root, "train")
    (tmp_path / "elsewhere").rename(tmp_path / "store" / "scan")
    assert contents_of(root / "train" / "case")


def test_an_existing_target_is_refused(tmp_path):
    root = make_root(tmp_path)
    (root / "train").symlink_to(tmp_path / "unplugged")
    with pytest.raises(InputError, match="train: is not a folder, or is a broken link"):
        move_to_split(root / "case", root, "train")
    (root / "val" / "case").mkdir(parents=True)
    with pytest.raises(InputError, match="already exists"):
        move_to_split(root / "case", root, "val")


def put_splits_on_another_disk(has_links: bool = True) -> None:
    """Make renames fail except within one folder and, unless the other disk `has_links`, links in train fail too."""
    rename, link = Path.rename, Path.symlink_to

    def rename_here(self: Path, target: Path):
        if self.parent != Path(target).parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(self), None, str(target))
        return rename(self, target)

    def refuse_there(self: Path, *arguments):
        if "train" in self.parts:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(self))
        link(self, *arguments)

    Path.rename, Path.symlink_to = rename_here, link if has_links else refuse_there


@pytest.fixture
def other_disk(monkeypatch):
    for name in ("rename", "symlink_to"):
        monkeypatch.setattr(Path, name, getattr(Path, name))  # restores the methods after the test
    put_splits_on_another_disk()


@pytest.mark.parametrize("linked_folder", [False, True])
def test_a_case_moved_to_another_disk_is_removed_from_this_one(tmp_path, other_disk, linked_folder):
    root = make_root(tmp_path, linked_folder)
    before, changed = contents_of(root / "case"), (root / "case" / "reference").stat().st_mtime_ns
    assert move_to_split(root / "case", root, "train") == ""
    assert contents_of(root / "train" / "case") == before
    assert (root / "train" / "case" / "reference").stat().st_mtime_ns == changed
    assert [path.name for path in root.iterdir()] == ["train"]
    assert [path.name for path in (root / "train").iterdir()] == ["case"]


def test_links_are_replaced_by_copies_on_a_disk_without_links(tmp_path, other_disk):
    put_splits_on_another_disk(has_links=False)
    root = make_root(tmp_path)
    before = contents_of(root / "case")
    assert "does not support links" in move_to_split(root / "case", root, "train")
    assert contents_of(root / "train" / "case") == before
    assert not (root / "train" / "case" / "imaging").is_symlink()


def test_a_full_target_disk_leaves_the_case_unchanged(tmp_path, other_disk, monkeypatch):
    def fill(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    root = make_root(tmp_path)
    before = contents_of(root / "case")
    monkeypatch.setattr("shutil.copyfile", fill)
    with pytest.raises(InputError, match="the disk is full"):
        move_to_split(root / "case", root, "train")
    assert contents_of(root / "case") == before
    assert list((root / "train").iterdir()) == []


def move(root: Path) -> None:
    """Move the case as stage 1 does, whether or not an earlier run was interrupted."""
    finish_moves(root)
    if os.path.lexists(root / "case"):
        move_to_split(root / "case", root, "train")


def move_and_kill(root: Path, steps: int) -> int:
    """Call `move` in a process that is killed before one of its changes to the disk; return its exit status."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads; the child needs none of them
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    remaining = count(steps, -1)

    def watch(event: str, arguments) -> None:
        changes = ("os.rename", "os.symlink", "os.remove", "os.rmdir", "os.mkdir", "open", "shutil.rmtree")
        if event in changes and str(root) in str(arguments) and next(remaining) == 0:
            os._exit(KILLED)

    sys.addaudithook(watch)
    try:
        move(root)
    except BaseException:
        os._exit(1)
    os._exit(0)


@pytest.mark.parametrize("linked_folder", [False, True])
@pytest.mark.parametrize("is_other_disk", [False, True])
def test_a_move_killed_at_any_step_loses_nothing_and_can_be_completed(
    tmp_path, monkeypatch, request, is_other_disk, linked_folder
):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # slow, and not needed if only the process is killed
    if is_other_disk:
        request.getfixturevalue("other_disk")
    for steps in count():
        root = make_root(tmp_path / str(steps), linked_folder)
        before = contents_of(root / "case")
        status = move_and_kill(root, steps)
        assert status in (0, KILLED)
        copies = [path for path in ("case", "train/case") if (root / path / "reference").exists()]
        assert any(contents_of(root / path) == before for path in copies), (steps, copies)
        move(root)
        assert contents_of(root / "train" / "case") == before, steps
        assert [path.name for path in root.iterdir()] == ["train"], steps
        assert [path.name for path in (root / "train").iterdir()] == ["case"], steps
        if status == 0:
            break
    assert steps > 4
