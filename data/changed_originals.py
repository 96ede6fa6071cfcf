"""Detection of scans and references that were replaced after stage 1, so that new and old results are not mixed.

A file is considered unchanged if it has the size and modification time that stage 1 recorded. If these differ, for
example in a copy of the data, its voxels are read and their checksum is compared.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from data.case_folder import IMAGE, REFERENCE
from data.cases import Case
from data.sampling.case_cache import case_folder
from data.stored_arrays import stored

_KINDS = {IMAGE: "image", REFERENCE: "reference"}  # keys of the record


def check_references(cache: Path, cases: Iterable[Case]) -> None:
    """Check that the references of `cases` are those that stage 1 resampled; see `check_originals`."""
    _check(cache, [(case, REFERENCE) for case in cases if case.has_reference])


def check_originals(cache: Path, cases: Iterable[Case]) -> None:
    """Check that scans and references of `cases` are those that stage 1 resampled; missing files are accepted.

    Args:
        cache: folder that records which files were already verified.

    Raises:
        InputError: a file was replaced.
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
    """Return whether a file differs in size or time from the one of stage 1 and its checksum was recorded."""
    stamps, record = _stamps(case.folder / name), case.record
    if stamps is None or "original_sha256" not in record:
        return False
    known = [(record.get("placed") or {}).get(name), (record.get("source") or {}).get(_KINDS[name])]
    return not any(some and [some.get("bytes"), some.get("modified_ns")] == stamps for some in known)


def _stamps(path: Path) -> list[int] | None:
    """Return the size and modification time of a file, or None if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]
