"""Recognition of a file's true kind by its first bytes, so that errors name the cause rather than a symptom."""

from pathlib import Path

from base.errors import InputError

_BYTES = 512
_GZIP = b"\x1f\x8b"
_NIFTI = {n.to_bytes(4, order) for n in (348, 540) for order in ("little", "big")}


def refuse_placeholder(path: Path) -> None:
    """Raise InputError if the file at `path` is empty or a placeholder for a file that was not downloaded."""
    start = _first_bytes(path)
    if not start:
        raise InputError(path, "is empty", "fetch it again")
    if start.startswith(b"version https://git-lfs"):
        raise InputError(path, "is a pointer of Git LFS, not the file itself", "fetch it with git lfs pull")
    if start.startswith(b"/annex/objects/") or b"/.git/annex/objects/" in start.partition(b"\n")[0]:
        raise InputError(path, "is a pointer of git-annex, not the file itself", "fetch it with git annex get")
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise InputError(path, "is a web page, probably from a failed download", "download it again")


def refuse_other_compression(path: Path) -> None:
    """Raise InputError if an image is named .gz but is not compressed, or is compressed but not named .gz."""
    start, name = _first_bytes(path), path.name
    is_gzip, is_named_gz = start.startswith(_GZIP), name.lower().endswith(".gz")
    if is_named_gz and start[:4] in _NIFTI:
        plain = name[: -len(".gz")]
        remedy = f"rename it to {plain} (and compress it with gzip {plain} if you like)"
        raise InputError(path, "is named .gz but is not compressed", remedy)
    if is_named_gz and not is_gzip:
        kind = " but a ZIP archive" if start.startswith(b"PK\3\4") else ""
        raise InputError(path, f"is named .gz and is not gzip{kind}", "replace it by the image, compressed with gzip")
    if is_gzip and not is_named_gz:
        remedy = f"rename it to {name}.gz" if name.lower().endswith(".nii") else f"unpack it (gunzip) to {name}"
        raise InputError(path, "is compressed with gzip but not named .gz", remedy)


def broken_link(path: Path) -> tuple[str, str]:
    """Return the problem and the remedy of a broken symbolic link, for an InputError."""
    problem = f"is a link to {path.readlink()}, which does not exist"
    return problem, "fetch that file (git annex get, dvc pull), or correct the link"


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_BYTES)
