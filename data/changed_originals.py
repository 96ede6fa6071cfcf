"""Detection of scans and references that were replaced after stage 1, so that new and old results are not mixed.

A file is considered unchanged if it has the size and modification time that stage 1 recorded. If these differ, for
example in a copy of the data, its voxels are read and their checksum is compared.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from data.case_folder import REFERENCE, image_kind, image_name
from data.cases import Case
from data.sampling.case_cache import case_folder
from data.stored_arrays import stored


def check_references(cache: Path, cases: Iterable[Case]) -> None:
    """Check that the references of `cases` are those that stage 1 resampled; see `check_originals`."""
    _check(cache, [_Original(case, None) for case in cases if case.has_reference])


def check_originals(cache: Path, cases: Iterable[Case]) -> None:
    """Check that scans and references of `cases` are those that stage 1 resampled; missing files are accepted.

    Args:
        cache: folder that records which files were already verified.

    Raises:
        InputError: a file was replaced.
    """
    originals = [(case, [*case.channels, *([None] if case.has_reference else [])]) for case in cases]
    _check(cache, [_Original(case, channel) for case, channels in originals for channel in channels])


@dataclass(frozen=True)
class _Original:
    """The image of a `channel` of a case, or its reference (None)."""

    case: Case
    channel: str | None

    @property
    def name(self) -> str:
        return REFERENCE if self.channel is None else image_name(self.channel)

    @property
    def kind(self) -> str:
        """Key of the file in the record of stage 1."""
        return "reference" if self.channel is None else image_kind(self.channel)

    def verify(self) -> tuple[dict, None]:
        if self.channel is None:
            self.case.original_reference()
        else:
            self.case.check_original(self.channel)
        return {}, None


def _check(cache: Path, originals: Sequence[_Original]) -> None:
    changed = [(one, _stamps(one.case.folder / one.name)) for one in originals if _may_differ(one)]
    for one, stamps in tqdm(changed, "checking originals", unit="file", leave=False, disable=not changed):
        stored(case_folder(cache, one.case) / f"verified_{one.kind}", [stamps, one.case.content], one.verify)


def _may_differ(one: _Original) -> bool:
    """Return whether a file differs in size or time from the one of stage 1 and its checksum was recorded."""
    stamps, record = _stamps(one.case.folder / one.name), one.case.record
    if stamps is None or "original_sha256" not in record:
        return False
    known = [(record.get("placed") or {}).get(one.name), (record.get("source") or {}).get(one.kind)]
    return not any(some and [some.get("bytes"), some.get("modified_ns")] == stamps for some in known)


def _stamps(path: Path) -> list[int] | None:
    """Return the size and modification time of a file, or None if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]
