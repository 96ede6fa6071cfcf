"""Scans and references that were replaced after stage 1: found before results of them are mixed with earlier ones.

What was resampled, trained on or measured before is of another file then. Size and time of change, which stage 1
recorded, tell nearly always that a file is the same; where they differ, as in a copy of the data, its voxels are read.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from data.case_folder import IMAGE, REFERENCE
from data.cases import Case
from data.sampling.case_cache import case_folder
from data.stored_arrays import stored

_KINDS = {IMAGE: "image", REFERENCE: "reference"}  # as the record names them


def check_references(cache: Path, cases: Iterable[Case]) -> None:
    """Check that the references of `cases` are those that stage 1 resampled, as `check_originals` does."""
    _check(cache, [(case, REFERENCE) for case in cases if case.has_reference])


def check_originals(cache: Path, cases: Iterable[Case]) -> None:
    """Check that scans and references of `cases` are those that stage 1 resampled; what is missing counts as such.

    Args:
        cache: remembers which files were read.

    Raises:
        InputError: one is not.
    """
    _check(cache, [(case, name) for case in cases for name in (IMAGE, REFERENCE)[: 1 + case.has_reference]])


def _check(cache: Path, originals: Sequence[tuple[Case, str]]) -> None:
    changed = [(case, name, _stamps(case.folder / name)) for case, name in originals if _may_differ(case, name)]
    for case, name, stamps in tqdm(changed, "checking originals", unit="file", leave=False, disable=not changed):

        def verify(case=case, name=name):
            case.original_image() if name == IMAGE else case.original_reference()
            return {}, None

        stored(case_folder(cache, case) / f"verified_{_KINDS[name]}", [stamps, case.content], verify)


def _may_differ(case: Case, name: str) -> bool:
    """Whether a file is not known by size and time to be the one that stage 1 read or wrote, and can be told apart."""
    stamps, record = _stamps(case.folder / name), case.record
    if stamps is None or "original_sha256" not in record:
        return False
    known = [(record.get("placed") or {}).get(name), (record.get("source") or {}).get(_KINDS[name])]
    return not any(some and [some.get("bytes"), some.get("modified_ns")] == stamps for some in known)


def _stamps(path: Path) -> list[int] | None:
    """Size and time of change; None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]
