"""Folders of a trial: copies, snapshots, detection of leftover and damaged files."""

import csv
import gzip
import hashlib
import json
import os
import shutil
import stat
import zipfile
from pathlib import Path

import nibabel

Snapshot = dict[str, tuple]


def copy_into(source: Path, target: Path) -> None:
    """Copy a file or a folder with modification times; links stay links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def snapshot(root: Path, without: tuple[Path, ...] = ()) -> Snapshot:
    """Return type, mode, time and content of everything below `root`, except for the folders `without`."""
    found = {}
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = [name for name in folders if here / name not in without]
        for name in [*folders, *files]:
            path = here / name
            status = path.lstat()
            kind = stat.S_IFMT(status.st_mode)
            content, changed = "", status.st_mtime_ns
            if stat.S_ISREG(kind):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            elif stat.S_ISLNK(kind):
                content = str(path.readlink())
            else:
                changed = 0  # changes with the content of the folder, which is compared separately
            found[str(path.relative_to(root))] = (kind, status.st_mode, changed, content)
    return found


def changes(before: Snapshot, after: Snapshot) -> list[str]:
    """Return the additions, removals and changes between two snapshots."""
    words = [f"{name} was removed" for name in before if name not in after]
    words += [f"{name} was made" for name in after if name not in before]
    words += [f"{name} was changed" for name in before if name in after and before[name] != after[name]]
    return words


def stray_files(root: Path) -> list[str]:
    """Return temporary files and folders that a run left below `root`."""
    found = []
    for path in sorted(root.rglob("*")) if root.is_dir() else ():
        name = path.name
        if (name.startswith(".") and "partial" in name) or name.startswith("members-"):
            found.append(f"{path.relative_to(root)} was left behind")
    return found


def left_in_temporary(temporary: Path) -> list[str]:
    """Return what a run left in its temporary folder, except for caches of libraries."""
    names = sorted(path.name for path in temporary.iterdir()) if temporary.is_dir() else []
    return [f"{name} was left in the temporary folder" for name in names if not name.startswith("torchinductor")]


def damaged_files(root: Path) -> list[str]:
    """Return the damaged files below `root`, except for temporary ones, with the error."""
    found = []
    for path in sorted(root.rglob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        try:
            check_intact(path)
        except Exception as error:  # libraries raise nearly anything about damaged files
            found.append(f"{path.relative_to(root)} is damaged ({type(error).__name__}: {error})")
    return found


def check_intact(path: Path) -> None:
    """Read a file to its end.

    Raises:
        Exception: it is damaged.
    """
    if path.name.endswith(".gz"):
        with gzip.open(path) as file:
            while file.read(1 << 20):
                pass
    if path.name.endswith((".nii", ".nii.gz")):
        nibabel.load(path).get_fdata()
    elif path.suffix == ".pth":
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        if bad:
            raise ValueError(f"checksum of {bad}")
    elif path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))
    elif path.suffix == ".png":
        if b"IEND" not in path.read_bytes()[-12:]:
            raise ValueError("no end of the picture")
    elif path.suffix == ".csv":
        text = path.read_text(encoding="utf-8")
        widths = {len(row) for row in csv.reader(text.splitlines())}
        if not text.endswith("\n") or len(widths) > 1:
            raise ValueError("rows are cut")
