"""Case folders on their way to a split, on this disk or on another: stopped at any moment, nothing is lost.

A folder that stays on its disk is renamed. One that goes to another is copied beside its new place, verified and
renamed into it; only then is the old one removed, and a mark beside it (`.CASE.moved`) says so until it is gone:
`finish_moves` goes on from there. Links that lead out of a folder keep leading to the same files.
"""

import contextlib
import errno
import filecmp
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from base.atomic_file import is_temporary, not_written, remove_abandoned, synchronize, write_text
from base.errors import InputError
from data.case_folder import SPLITS, is_listed

_MARK = ".moved"
_MARK_BYTES = 100


def move_to_split(folder: Path, root: Path, split: str) -> str:
    """Move a case folder, or a link to one, to `root`/`split`, if it is not there.

    Returns:
        What is to be said of it: that links were copied, for want of links on that disk; else empty.

    Raises:
        InputError: something of its name is there already, or there is no room for it.
    """
    target = root / split / folder.name
    if target == folder:
        return ""
    if is_listed(target):
        raise InputError(target, f"is in the way of {folder}", "keep one of them")
    try:
        target.parent.mkdir(exist_ok=True)
    except FileExistsError:
        raise InputError(target.parent, "is no folder, or a link that leads nowhere", "make it a folder") from None
    links = dict(_relative_links(folder))
    for place, destination in links.items():
        _point(folder / place, destination)  # right in both places
    try:
        folder.rename(target)
        note, is_far = "", False
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        note, is_far = _move_to_another_disk(folder, target, split), True
    if not is_far:
        for place, destination in links.items():
            _point(target / place, Path(os.path.relpath(destination, os.path.realpath((target / place).parent))))
    return note


def finish_moves(root: Path) -> None:
    """Finish what `move_to_split` was stopped in: of a case that lies in both places, remove the old folder.

    Raises:
        InputError: they differ.
    """
    places = [place for place in (root, *(root / split for split in SPLITS)) if place.is_dir()]
    for mark, split in [pair for place in places for pair in _marks_in(place)]:
        folder = mark.with_name(mark.name[1:].removesuffix(_MARK))
        target = root / split / folder.name
        if target != folder and is_listed(folder) and is_listed(target):
            if not _holds(target, folder):
                raise InputError(folder, f"was moved to {target}, and differs from it now", "keep one of them")
            _remove(folder)
        mark.unlink()
    for place in places:
        remove_abandoned(place)
        for path in [path for path in place.iterdir() if is_temporary(path.name) and path.is_dir()]:
            _remove(path)


def _marks_in(place: Path) -> list[tuple[Path, str]]:
    """The marks of cases that lay in `place`, each with the split that its case went to."""
    marks = []
    for path in sorted(place.iterdir()):
        if path.name.startswith(".") and path.name.endswith(_MARK) and path.is_file() and not path.is_symlink():
            split = path.read_bytes()[:_MARK_BYTES].decode("utf-8", "replace").strip()
            if split in SPLITS:
                marks.append((path, split))
    return marks


def _relative_links(folder: Path) -> Iterator[tuple[Path, Path]]:
    """The relative links in `folder` that lead out of it, or itself if it is one, each with where it leads."""
    if folder.is_symlink():
        if not folder.readlink().is_absolute():
            yield Path(), _destination(folder)
        return
    inside = Path(os.path.realpath(folder))
    for place, folders, files in os.walk(folder):
        for path in (Path(place, name) for name in (*folders, *files)):
            if path.is_symlink() and not path.readlink().is_absolute():
                destination = _destination(path)
                if not destination.is_relative_to(inside):
                    yield path.relative_to(folder), destination


def _destination(link: Path) -> Path:
    """Where a link leads, as an absolute path: one step, for that may be a link with a meaning of its own."""
    path = Path(os.path.realpath(link.parent)) / link.readlink()
    return Path(os.path.realpath(path)) if path.name == ".." else Path(os.path.realpath(path.parent)) / path.name


def _point(link: Path, destination: Path) -> None:
    """Let a link lead elsewhere; there is one link or the other at any moment."""
    temporary = _temporary_beside(link)
    temporary.symlink_to(destination)
    temporary.replace(link)


def _temporary_beside(path: Path) -> Path:
    return path.with_name(f".{secrets.token_hex(4)}.partial.{path.name[-50:]}")


def _move_to_another_disk(folder: Path, target: Path, split: str) -> str:
    """Copy `folder`, whose links are absolute, to `target`, then remove it; what is to be said of it."""
    temporary, mark = _temporary_beside(target), folder.with_name(f".{folder.name}{_MARK}")
    try:
        has_links = _copy(folder, temporary)
        synchronize(target.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            _remove(temporary)
        raise not_written(target, error) if isinstance(error, OSError) else error from None
    write_text(mark, f"{split}\n")
    temporary.rename(target)
    synchronize(target.parent)
    _remove(folder)
    mark.unlink()
    return "" if has_links else f"the disk of {target.parent} has no links: their files were copied"


def _copy(source: Path, target: Path) -> bool:
    """Copy a file, a link or a folder, verified; tell whether links stayed links."""
    if source.is_symlink():
        with contextlib.suppress(OSError):
            target.symlink_to(source.readlink())
            return True
        _copy(source.resolve(), target)
        return False
    if source.is_dir():
        target.mkdir()
        has_links = all([_copy(path, target / path.name) for path in sorted(source.iterdir())])
    else:
        shutil.copyfile(source, target)
        has_links = True
    with contextlib.suppress(OSError):  # disks that keep no rights
        shutil.copystat(source, target)
    synchronize(target)
    if target.is_file() and not filecmp.cmp(source, target, shallow=False):
        raise OSError(errno.EIO, "what was written reads differently")
    return has_links


def _holds(target: Path, source: Path) -> bool:
    """Whether all that is in `source` is in `target` just so."""
    if source.is_symlink() and target.is_symlink():
        return source.readlink() == target.readlink() or os.path.realpath(source) == os.path.realpath(target)
    if source.is_dir():
        return target.is_dir() and all(_holds(target / path.name, path) for path in source.iterdir())
    return target.is_file() and filecmp.cmp(source, target, shallow=False)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif is_listed(path):
        path.unlink()
