"""What a file is, by its first bytes, where its name says something else: the cause of an error, not its symptom."""

from pathlib import Path

from base.errors import InputError

_BYTES = 512
_GZIP = b"\x1f\x8b"
_NIFTI = {n.to_bytes(4, order) for n in (348, 540) for order in ("little", "big")}


def refuse_placeholder(path: Path) -> None:
    """Raise InputError where the file at `path` only stands for one that was not fetched."""
    begin = _first_bytes(path)
    if not begin:
        raise InputError(path, "is empty", "fetch it again")
    if begin.startswith(b"version https://git-lfs"):
        raise InputError(path, "is a pointer of Git LFS, not the file itself", "fetch it with git lfs pull")
    if begin.startswith(b"/annex/objects/") or b"/.git/annex/objects/" in begin.partition(b"\n")[0]:
        raise InputError(path, "is a pointer of git-annex, not the file itself", "fetch it with git annex get")
    if begin.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise InputError(path, "is a web page, as a failed download leaves", "download it again")


def refuse_other_compression(path: Path) -> None:
    """Raise InputError where an image is called as if it were compressed and is not, or the other way round."""
    begin, name = _first_bytes(path), path.name
    is_gzip, is_called_so = begin.startswith(_GZIP), name.lower().endswith(".gz")
    if is_called_so and begin[:4] in _NIFTI:
        plain = name[: -len(".gz")]
        remedy = f"rename it to {plain} (then gzip {plain} makes it what it is called)"
        raise InputError(path, "is called .gz and is not compressed", remedy)
    if is_called_so and not is_gzip:
        kind = " but a ZIP archive" if begin.startswith(b"PK\3\4") else ""
        raise InputError(path, f"is called .gz and is not gzip{kind}", "replace it by the image, compressed with gzip")
    if is_gzip and not is_called_so:
        remedy = f"rename it to {name}.gz" if name.lower().endswith(".nii") else f"unpack it (gunzip), as {name}"
        raise InputError(path, "is compressed with gzip and not called .gz", remedy)


def broken_link(path: Path) -> tuple[str, str]:
    """What is wrong with a link that leads nowhere, and what to do."""
    problem = f"is a link to {path.readlink()}, which does not exist"
    return problem, "fetch that file (git annex get, dvc pull), or correct the link"


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_BYTES)
