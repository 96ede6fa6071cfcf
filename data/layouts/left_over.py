"""What lies in a data set beside the cases that were found: nothing is passed over without a word.

Looked at are image files, files of formats that are not read, and folders beside those of cases; not what is hidden,
nor what this program wrote.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from base.names import RESERVED
from data.case_folder import IMAGE, RECORD, RESAMPLED_IMAGE, RESAMPLED_REFERENCE
from data.layouts.decathlon import unread_lists
from data.layouts.description import description_of
from data.layouts.files import folders_in, is_hidden, stem_of
from data.layouts.reference_names import is_named_as_reference, is_named_as_reference_of
from data.layouts.source_case import SourceCase

_DEPTH = 3  # of folders below the data set's
_PER_CASE = ("kits", "segthor", "acdc")  # layouts in which a case, or a patient, has a folder
_LISTED = "decathlon"
_OTHER_FORMATS = (
    *(".dcm", ".dicom", ".ima", ".hdr", ".img", ".img.gz", ".mgh", ".mgz", ".mnc", ".nhdr", ".gipl", ".gipl.gz"),
    *(".nii.bz2", ".nii.xz", ".nii.zip", ".nii.zst"),
)
_INCOMPLETE = (".part", ".partial", ".crdownload", ".download", ".filepart", ".aria2", ".tmp")
_OWN_RECORDS = ("experiment.json", "predictions.json", "soft_labels.json")


@dataclass(frozen=True)
class LeftOver:
    """A file, folder or list that belongs to no case; `is_mistake` where it looks as if it was meant to."""

    name: str
    reason: str
    is_mistake: bool = False


def find_left_over(
    folders: Sequence[Path], cases: Sequence[SourceCase], layout: str, output: Path | None = None
) -> list[LeftOver]:
    """Find what lies in the `folders` of a data set and belongs to none of its `cases`, sorted by name.

    Args:
        output: a folder that is passed over.
    """
    search = _Search(cases, layout, output)
    found = [one for folder in folders for one in search.of(folder)]
    if layout == _LISTED:
        for name in unread_lists(folders[0]):
            found.append(LeftOver(description_of(folders[0]).name, f"its list {name} is not read", is_mistake=True))
    return found


class _Search:
    def __init__(self, cases: Sequence[SourceCase], layout: str, output: Path | None):
        self._layout = layout
        self._output = output.resolve() if output else None
        self._taken = {path for case in cases for path in (case.image, case.reference) if path}
        self._without_reference: dict[Path, list[SourceCase]] = {}  # by the folders of their scans
        for case in cases:
            if case.reference is None and not case.problem:
                self._without_reference.setdefault(case.image.parent, []).append(case)
        self._cases = cases
        self._case_folders = {case.image.parent for case in cases} if layout in _PER_CASE else set()
        self._names = {(folder.parent, _pattern(folder.name)) for folder in self._case_folders}
        self._beside = {folder.parent for folder in self._case_folders}

    def of(self, root: Path) -> Iterator[LeftOver]:
        """What is left over in a folder of the data set."""
        yield from self._files(root, root)
        yield from self._below(root, root, _DEPTH)

    def _below(self, root: Path, folder: Path, depth: int) -> Iterator[LeftOver]:
        for path in folders_in(folder) if depth else ():
            if path.resolve() == self._output or path.name in RESERVED or _is_own(path):
                continue
            if self._is_beside_cases(path) and not any(map(self._is_seen, path.iterdir())):
                is_mistake = (path.parent, _pattern(path.name)) in self._names
                yield LeftOver(_shown(path, root), "holds no scan", is_mistake)
            yield from self._files(path, root)
            yield from self._below(root, path, depth - 1)

    def _is_beside_cases(self, folder: Path) -> bool:
        """Whether a folder lies beside those of cases and is none, nor holds some."""
        return folder.parent in self._beside and folder not in self._case_folders | self._beside

    def _files(self, folder: Path, root: Path) -> Iterator[LeftOver]:
        for path in sorted(folder.iterdir()):
            if path not in self._taken and self._is_seen(path):
                yield LeftOver(_shown(path, root), *self._reason(path))

    @staticmethod
    def _is_seen(path: Path) -> bool:
        """Whether a file is one that a case could be made of, if it were elsewhere or of another format."""
        name = path.name.lower()
        if is_hidden(path) or path.is_dir():
            return False
        if name in (RESAMPLED_IMAGE, RESAMPLED_REFERENCE) and (path.parent / RECORD).exists():
            return False
        return bool(stem_of(path)) or name.endswith((*_OTHER_FORMATS, *_INCOMPLETE))

    def _reason(self, path: Path) -> tuple[str, bool]:
        """Why a file is left over, and whether that looks like a mistake."""
        name, folder = path.name.lower(), path.parent
        if name.endswith(_INCOMPLETE):
            return "is a download that was not finished", True
        if name.endswith(_OTHER_FORMATS):
            is_scan = folder not in self._case_folders and (folder.parent, _pattern(folder.name)) in self._names
            return "is of a format that is not read", is_scan or any(c.image.parent == folder for c in self._plain())
        if case := self._lacking(path):
            return f"looks like the reference of {case.name}, which has none", True
        if self._is_beside_cases(folder) and (folder.parent, _pattern(folder.name)) in self._names:
            return "lies in a folder that is named like those of cases, and is no scan of one", True
        if self._layout == "kits" and stem_of(path) == stem_of(Path(IMAGE)) and not (folder / RECORD).exists():
            return "is a scan in a folder where none is looked for", True
        if self._layout in ("decathlon", "nnunet") and folder.name.lower().startswith("label"):
            scans = (folder.with_name("images" + folder.name[len("labels") :]), folder.with_name("imagesTr"))
            if not any(stem_of(path) in one.name for place in scans if place.is_dir() for one in place.iterdir()):
                return "is a reference without a scan", True
        return ("is not listed", False) if self._layout == _LISTED else ("belongs to no case", False)

    def _plain(self) -> Sequence[SourceCase]:
        """The cases of layouts whose scans lie together in one folder."""
        return () if self._layout in _PER_CASE else self._cases

    def _lacking(self, path: Path) -> SourceCase | None:
        """The case without a reference whose reference a file seems to be."""
        stem, lacking = stem_of(path), self._without_reference.get(path.parent, [])
        if self._layout == "kits":
            return lacking[0] if lacking and is_named_as_reference(stem) else None
        if self._layout == "segthor":
            return lacking[0] if lacking and is_named_as_reference(stem.removeprefix(lacking[0].name)) else None
        return next((case for case in lacking if is_named_as_reference_of(stem, stem_of(case.image))), None)


def _is_own(folder: Path) -> bool:
    """Whether a folder holds results of this program."""
    return any((folder / name).is_file() for name in _OWN_RECORDS)


def _pattern(name: str) -> str:
    """What names of cases that differ in their numbers have in common."""
    return re.sub(r"\d+", "#", name)


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def lines_of(left_over: Sequence[LeftOver], at_most: int = 5) -> list[str]:
    """A line each of what looks like a mistake; of the rest, a line for files of one kind, which names `at_most`."""
    lines = [f"{one.name} {one.reason}" for one in left_over if one.is_mistake]
    kinds: dict[tuple[str, str], list[str]] = {}
    for one in left_over:
        if not one.is_mistake:
            kinds.setdefault((_pattern(one.name), one.reason), []).append(one.name)
    for (_, reason), names in kinds.items():
        more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
        lines.append(f"{', '.join(names[:at_most])}{more}: {reason}")
    return lines
