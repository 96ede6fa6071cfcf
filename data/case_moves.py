"""Moves of case folders into a split, on the same disk or to another, without data loss if interrupted at any time.

On the same disk, a folder is renamed. To another disk, it is copied to a temporary folder beside the target, verified
and renamed; then the original is removed. Until it is gone, a mark beside it (`.CASE.moved`) records the move, so that
`finish_moves` can complete it. Relative links that point out of the folder keep pointing to the same files.
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
    """Move a case folder, or a link to one, to `root`/`split`, unless it is already there.

    Returns:
        a note for the user if links were replaced by copies, because that disk does not support links; otherwise "".

    Raises:
        InputError: the target exists already, or the disk is full.
    """
    target = root / split / folder.name
    if target == folder:
        return ""
    if is_listed(target):
        raise InputError(target, f"already exists, but {folder} is to be moved there", "keep one of them")
    try:
        target.parent.mkdir(exist_ok=True)
    except FileExistsError:
        raise InputError(target.parent, "is not a folder, or is a broken link", "replace it by a folder") from None
    links = dict(_relative_links(folder))
    for relative, destination in links.items():
        _retarget(folder / relative, destination)  # an absolute link is valid before and after the move
    try:
        folder.rename(target)
        note, is_other_disk = "", False
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        note, is_other_disk = _move_to_another_disk(folder, target, split), True
    if not is_other_disk:
        for relative, destination in links.items():
            link = target / relative
            _retarget(link, Path(os.path.relpath(destination, os.path.realpath(link.parent))))
    return note


def finish_moves(root: Path) -> None:
    """Complete interrupted calls of `move_to_split`: remove the original of a case that was already copied.

    Raises:
        InputError: the original and the copy differ.
    """
    parents = [parent for parent in (root, *(root / split for split in SPLITS)) if parent.is_dir()]
    for mark, split in [pair for parent in parents for pair in _marks_in(parent)]:
        folder = mark.with_name(mark.name[1:].removesuffix(_MARK))
        target = root / split / folder.name
        if target != folder and is_listed(folder) and is_listed(target):
            if not _contains(target, folder):
                raise InputError(folder, f"was moved to {target}, but differs from it now", "keep one of them")
            _remove(folder)
        mark.unlink()
    for parent in parents:
        remove_abandoned(parent)
        for path in [path for path in parent.iterdir() if is_temporary(path.name) and path.is_dir()]:
            _remove(path)


def _marks_in(parent: Path) -> list[tuple[Path, str]]:
    """Return the marks of cases moved out of `parent`, each with the split to which its case was moved."""
    marks = []
    for path in sorted(parent.iterdir()):
        if path.name.startswith(".") and path.name.endswith(_MARK) and path.is_file() and not path.is_symlink():
            split = path.read_bytes()[:_MARK_BYTES].decode("utf-8", "replace").strip()
            if split in SPLITS:
                marks.append((path, split))
    return marks


def _relative_links(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the relative links in `folder` that point out of it (or `folder` itself if it is one) and their targets."""
    if folder.is_symlink():
        if not folder.readlink().is_absolute():
            yield Path(), _destination(folder)
        return
    inside = Path(os.path.realpath(folder))
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in (*folders, *files)):
            if path.is_symlink() and not path.readlink().is_absolute():
                destination = _destination(path)
                if not destination.is_relative_to(inside):
                    yield path.relative_to(folder), destination


def _destination(link: Path) -> Path:
    """Return the absolute target of a link, resolving a single step: the target may be a link that must be kept."""
    path = Path(os.path.realpath(link.parent)) / link.readlink()
    return Path(os.path.realpath(path)) if path.name == ".." else Path(os.path.realpath(path.parent)) / path.name


def _retarget(link: Path, destination: Path) -> None:
    """Change the target of a link atomically."""
    temporary = _temporary_beside(link)
    temporary.symlink_to(destination)
    temporary.replace(link)


def _temporary_beside(path: Path) -> Path:
    return path.with_name(f".{secrets.token_hex(4)}.partial.{path.name[-50:]}")


def _move_to_another_disk(folder: Path, target: Path, split: str) -> str:
    """Copy `folder`, whose links are absolute, to `target`, then remove it; return a note for the user or ""."""
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
    return "" if has_links else f"the disk of {target.parent} does not support links: the linked files were copied"


def _copy(source: Path, target: Path) -> bool:
    """Copy a file, a link or a folder and verify it; return whether links could be kept as links."""
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
    with contextlib.suppress(OSError):  # some file systems do not store permissions
        shutil.copystat(source, target)
    synchronize(target)
    if target.is_file() and not filecmp.cmp(source, target, shallow=False):
        raise OSError(errno.EIO, "the written file has different content")
    return has_links


def _contains(target: Path, source: Path) -> bool:
    """Return whether everything in `source` is also in `target` with the same content."""
    if source.is_symlink() and target.is_symlink():
        return source.readlink() == target.readlink() or os.path.realpath(source) == os.path.realpath(target)
    if source.is_dir():
        return target.is_dir() and all(_contains(target / path.name, path) for path in source.iterdir())
    return target.is_file() and filecmp.cmp(source, target, shallow=False)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif is_listed(path):
        path.unlink()
