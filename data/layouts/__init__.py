"""Layouts of public data sets, which only stage 1 needs to know. Standard library only.

Each layout is a module with `SHAPE`, a description for messages; `FOLDER_PER_CASE`, whether each case or patient has a
folder of its own; `recognises(folder)`, which returns whether a folder has this layout; and `find(folder)`, which
returns its cases.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from base.errors import InputError
from base.names import is_text
from data.layouts import acdc, decathlon, kits, nnunet, pairs, segthor
from data.layouts.source_case import SourceCase

LAYOUTS: dict[str, ModuleType] = {
    "kits": kits,
    "segthor": segthor,
    "acdc": acdc,
    "decathlon": decathlon,
    "nnunet": nnunet,
    "pairs": pairs,
}


def recognise_layout(data_folder: Path) -> str:
    """Return the name of the layout of `data_folder`.

    Raises:
        InputError: the folder is missing, or matches no layout or several.
    """
    _check_folder(data_folder, "-d")
    names = [name for name, layout in LAYOUTS.items() if layout.recognises(data_folder)]
    if not names and kits.find(data_folder):
        return "kits"  # references without scans, which are reported one by one
    if not names:
        raise InputError(
            data_folder, "holds no case of a known layout", f"check -d; the layouts are {', '.join(LAYOUTS)}"
        )
    if len(names) > 1:
        raise InputError(data_folder, f"looks like several layouts: {', '.join(names)}", "name one with --layout")
    return names[0]


def find_source_cases(data_folder: Path, layout: str, **options) -> list[SourceCase]:
    """Find the cases of `data_folder`, sorted by name; `options` are specific to the layout (acdc: `frames`).

    Raises:
        InputError: the folder is missing, contains no case of the layout or a duplicate name, or its files do not
            match the layout.
    """
    _check_folder(data_folder, "-d")
    cases = LAYOUTS[layout].find(data_folder, **options)
    if not cases:
        raise InputError(data_folder, f"holds no case of the layout {layout}", f"expected {LAYOUTS[layout].SHAPE}")
    return _sorted_by_name(cases, data_folder)


def find_paired_cases(image_folder: Path, reference_folder: Path | None) -> list[SourceCase]:
    """Pair the files of two folders by name and return the cases, sorted by name; references may be missing.

    Raises:
        InputError: a folder is missing, there is no image, or a reference has no image.
    """
    _check_folder(image_folder, "--images")
    if reference_folder is not None:
        _check_folder(reference_folder, "--references")
    cases = pairs.find_in_two_folders(image_folder, reference_folder)
    if not cases:
        raise InputError(image_folder, "holds no case: there is no image file in it", "check --images")
    return _sorted_by_name(cases, image_folder)


def _check_folder(folder: Path, option: str) -> None:
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "there is no such folder"
        raise InputError(folder, problem, f"check {option}")


def _sorted_by_name(cases: list[SourceCase], folder: Path) -> list[SourceCase]:
    name, times = Counter(case.name for case in cases).most_common(1)[0]
    if times > 1:
        raise InputError(folder, f"holds case {name} twice", "keep one of them")
    return sorted((_checked_name(case) for case in cases), key=lambda case: case.name)


def _checked_name(case: SourceCase) -> SourceCase:
    """Return the case, with a problem if its names are not UTF-8, which image readers and tables require."""
    if all(is_text(path) for path in (case.name, case.image, case.reference)):
        return case
    return replace(case, problem="its name is not UTF-8, as from an old archive; rename it")
