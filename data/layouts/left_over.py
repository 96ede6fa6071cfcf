"""Files and folders of a data set that belong to none of the cases found, so that nothing is ignored silently.

Considered are image files, files of unsupported formats, and folders next to case folders, except hidden ones and
output of this program.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from base.names import RESERVED
from data.case_folder import IMAGE, RECORD, RESAMPLED_REFERENCE
from data.layouts import LAYOUTS
from data.layouts.decathlon import unread_lists
from data.layouts.description import description_of
from data.layouts.files import folders_in, is_hidden, stem_of
from data.layouts.reference_names import is_named_as_reference, is_named_as_reference_of
from data.layouts.source_case import SourceCase

_DEPTH = 3  # levels of folders searched below that of the data set
_LISTED = "decathlon"
_RESAMPLED = re.compile(rf"imaging(_.+)?_rs\.nii\.gz|{RESAMPLED_REFERENCE}", re.IGNORECASE)
_OTHER_FORMATS = (
    *(".dcm", ".dicom", ".ima", ".hdr", ".img", ".img.gz", ".mgh", ".mgz", ".mnc", ".nhdr", ".gipl", ".gipl.gz"),
    *(".nii.bz2", ".nii.xz", ".nii.zip", ".nii.zst"),
)
_INCOMPLETE = (".part", ".partial", ".crdownload", ".download", ".filepart", ".aria2", ".tmp")
_OWN_RECORDS = ("experiment.json", "predictions.json", "soft_labels.json")


@dataclass(frozen=True)
class LeftOver:
    """A file, folder or list that belongs to no case; `is_mistake` if it was probably meant to."""

    name: str
    reason: str
    is_mistake: bool = False


def find_left_over(
    folders: Sequence[Path], cases: Sequence[SourceCase], layout: str, output: Path | None = None
) -> list[LeftOver]:
    """Find the files and subfolders in the `folders` of a data set that belong to none of its `cases`.

    Args:
        output: a folder to ignore.
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
        images = {image.path for case in cases for image in case.images.values()}
        self._used = images | {case.reference for case in cases if case.reference}
        self._without_reference: dict[Path, list[SourceCase]] = {}  # by the folders of their scans
        for case in cases:
            if case.reference is None and not case.problem:
                self._without_reference.setdefault(case.image.parent, []).append(case)
        self._cases = cases
        self._case_folders = {case.image.parent for case in cases} if LAYOUTS[layout].FOLDER_PER_CASE else set()
        self._names = {(folder.parent, _pattern(folder.name)) for folder in self._case_folders}
        self._parents = {folder.parent for folder in self._case_folders}

    def of(self, root: Path) -> Iterator[LeftOver]:
        """Yield the leftovers in a folder of the data set."""
        yield from self._files(root, root)
        yield from self._below(root, root, _DEPTH)

    def _below(self, root: Path, folder: Path, depth: int) -> Iterator[LeftOver]:
        for path in folders_in(folder) if depth else ():
            if path.resolve() == self._output or path.name in RESERVED or _holds_results(path):
                continue
            if self._is_sibling_of_cases(path) and not any(map(self._is_candidate, path.iterdir())):
                is_mistake = (path.parent, _pattern(path.name)) in self._names
                yield LeftOver(_shown(path, root), "holds no scan", is_mistake)
            yield from self._files(path, root)
            yield from self._below(root, path, depth - 1)

    def _is_sibling_of_cases(self, folder: Path) -> bool:
        """Return whether a folder is next to case folders but neither is one nor contains any."""
        return folder.parent in self._parents and folder not in self._case_folders | self._parents

    def _files(self, folder: Path, root: Path) -> Iterator[LeftOver]:
        for path in sorted(folder.iterdir()):
            if path not in self._used and self._is_candidate(path):
                yield LeftOver(_shown(path, root), *self._reason(path))

    @staticmethod
    def _is_candidate(path: Path) -> bool:
        """Return whether a file could belong to a case if it had another position, name or format."""
        name = path.name.lower()
        if is_hidden(path) or path.is_dir():
            return False
        if _RESAMPLED.fullmatch(name) and (path.parent / RECORD).exists():
            return False
        return bool(stem_of(path)) or name.endswith((*_OTHER_FORMATS, *_INCOMPLETE))

    def _reason(self, path: Path) -> tuple[str, bool]:
        """Return why a file is left over, and whether that is probably a mistake."""
        name, folder = path.name.lower(), path.parent
        if name.endswith(_INCOMPLETE):
            return "is an unfinished download", True
        if name.endswith(_OTHER_FORMATS):
            is_scan = folder not in self._case_folders and (folder.parent, _pattern(folder.name)) in self._names
            is_scan = is_scan or any(case.image.parent == folder for case in self._flat_cases())
            return "has a format that is not supported", is_scan
        if case := self._case_of_reference(path):
            return f"looks like the reference of {case.name}, which has none", True
        if self._is_sibling_of_cases(folder) and (folder.parent, _pattern(folder.name)) in self._names:
            return "is in a folder that is named like a case, but is not the scan of one", True
        if self._layout == "kits" and stem_of(path) == stem_of(Path(IMAGE)) and not (folder / RECORD).exists():
            return "is a scan in a folder that is not searched", True
        if self._layout in ("decathlon", "nnunet") and folder.name.lower().startswith("label"):
            parents = (folder.with_name("images" + folder.name[len("labels") :]), folder.with_name("imagesTr"))
            scans = [scan for parent in parents if parent.is_dir() for scan in parent.iterdir()]
            if not any(stem_of(path) in scan.name for scan in scans):
                return "is a reference without a scan", True
        return ("is not listed", False) if self._layout == _LISTED else ("belongs to no case", False)

    def _flat_cases(self) -> Sequence[SourceCase]:
        """Return the cases of layouts that have all scans in one folder."""
        return () if LAYOUTS[self._layout].FOLDER_PER_CASE else self._cases

    def _case_of_reference(self, path: Path) -> SourceCase | None:
        """Return the case without a reference whose reference this file seems to be."""
        stem, cases = stem_of(path), self._without_reference.get(path.parent, [])
        if self._layout == "kits":
            return cases[0] if cases and is_named_as_reference(stem) else None
        if self._layout in ("segthor", "brats"):
            return cases[0] if cases and is_named_as_reference(stem.removeprefix(cases[0].name)) else None
        return next((case for case in cases if is_named_as_reference_of(stem, stem_of(case.image))), None)


def _holds_results(folder: Path) -> bool:
    """Return whether a folder contains results of this program."""
    return any((folder / name).is_file() for name in _OWN_RECORDS)


def _pattern(name: str) -> str:
    """Return a name with its numbers replaced by #, which is equal for cases that differ only in numbers."""
    return re.sub(r"\d+", "#", name)


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def lines_of(left_over: Sequence[LeftOver], at_most: int = 5) -> list[str]:
    """Return one line per probable mistake, and one line per kind of other leftovers, which names `at_most` of them."""
    lines = [f"{one.name} {one.reason}" for one in left_over if one.is_mistake]
    kinds: dict[tuple[str, str], list[str]] = {}
    for one in left_over:
        if not one.is_mistake:
            kinds.setdefault((_pattern(one.name), one.reason), []).append(one.name)
    for (_, reason), names in kinds.items():
        more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
        lines.append(f"{', '.join(names[:at_most])}{more}: {reason}")
    return lines
