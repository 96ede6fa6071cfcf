"""Case folders move to their split: links keep leading to their files, and no moment of a stop loses anything."""

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
    """A data folder with a case: a file, a relative link to a store, and one to a neighbour within the case."""
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
def test_relative_links_lead_where_they_led_and_stay_relative(tmp_path, linked_folder, linked_split):
    root = make_root(tmp_path, linked_folder)
    if linked_split:
        (tmp_path / "deep" / "deeper").mkdir(parents=True)
        (root / "train").symlink_to(tmp_path / "deep" / "deeper")
    before = contents_of(root / "case")
    for split, place in (("train", root), ("val", root / "train")):
        assert move_to_split(place / "case", root, split) == ""
        assert contents_of(root / split / "case") == before
    link = root / "val" / "case"
    assert not (link if linked_folder else link / "imaging").readlink().is_absolute()
    assert [path.name for path in root.iterdir() if path.name not in ("train", "val")] == []


def test_a_link_that_leads_nowhere_is_moved_as_it_is(tmp_path):
    root = make_root(tmp_path)
    (tmp_path / "store" / "scan").rename(tmp_path / "elsewhere")  # as git-annex leaves what it has not fetched
    move_to_split(root / "case", root, "train")
    (tmp_path / "elsewhere").rename(tmp_path / "store" / "scan")
    assert contents_of(root / "train" / "case")


def test_what_is_in_the_way_is_told(tmp_path):
    root = make_root(tmp_path)
    (root / "train").symlink_to(tmp_path / "unplugged")
    with pytest.raises(InputError, match="train: is no folder, or a link that leads nowhere"):
        move_to_split(root / "case", root, "train")
    (root / "val" / "case").mkdir(parents=True)
    with pytest.raises(InputError, match="in the way"):
        move_to_split(root / "case", root, "val")


def put_splits_on_another_disk(has_links: bool = True) -> None:
    """Let folders be renamed within their folder alone; where the other disk has no links, none can be made there."""
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
        monkeypatch.setattr(Path, name, getattr(Path, name))  # as it was, at the end
    put_splits_on_another_disk()


@pytest.mark.parametrize("linked_folder", [False, True])
def test_another_disk_gets_a_copy_and_this_one_keeps_nothing(tmp_path, other_disk, linked_folder):
    root = make_root(tmp_path, linked_folder)
    before, changed = contents_of(root / "case"), (root / "case" / "reference").stat().st_mtime_ns
    assert move_to_split(root / "case", root, "train") == ""
    assert contents_of(root / "train" / "case") == before
    assert (root / "train" / "case" / "reference").stat().st_mtime_ns == changed
    assert [path.name for path in root.iterdir()] == ["train"]
    assert [path.name for path in (root / "train").iterdir()] == ["case"]


def test_a_disk_without_links_gets_copies_and_a_line(tmp_path, other_disk):
    put_splits_on_another_disk(has_links=False)
    root = make_root(tmp_path)
    before = contents_of(root / "case")
    assert "has no links" in move_to_split(root / "case", root, "train")
    assert contents_of(root / "train" / "case") == before
    assert not (root / "train" / "case" / "imaging").is_symlink()


def test_another_disk_that_is_full_costs_nothing(tmp_path, other_disk, monkeypatch):
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
    """What stage 1 does about the case, begun again or not."""
    finish_moves(root)
    if os.path.lexists(root / "case"):
        move_to_split(root / "case", root, "train")


def move_and_kill(root: Path, steps: int) -> int:
    """Do it in a process that is killed before a step, which is whatever changes the disk; its status."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # no thread is needed
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = count(steps, -1)

    def watch(event: str, arguments) -> None:
        changes = ("os.rename", "os.symlink", "os.remove", "os.rmdir", "os.mkdir", "open", "shutil.rmtree")
        if event in changes and str(root) in str(arguments) and next(left) == 0:
            os._exit(KILLED)

    sys.addaudithook(watch)
    try:
        move(root)
    except BaseException:
        os._exit(1)
    os._exit(0)


@pytest.mark.parametrize("linked_folder", [False, True])
@pytest.mark.parametrize("is_far", [False, True])
def test_killed_at_any_step_nothing_is_lost_and_the_same_command_goes_on(
    tmp_path, monkeypatch, request, is_far, linked_folder
):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # takes its time, and a killed process needs none
    if is_far:
        request.getfixturevalue("other_disk")
    for steps in count():
        root = make_root(tmp_path / str(steps), linked_folder)
        before = contents_of(root / "case")
        status = move_and_kill(root, steps)
        assert status in (0, KILLED)
        whole = [place for place in ("case", "train/case") if (root / place / "reference").exists()]
        assert any(contents_of(root / place) == before for place in whole), (steps, whole)
        move(root)
        assert contents_of(root / "train" / "case") == before, steps
        assert [path.name for path in root.iterdir()] == ["train"], steps
        assert [path.name for path in (root / "train").iterdir()] == ["case"], steps
        if status == 0:
            break
    assert steps > 4
