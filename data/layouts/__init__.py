"""Layouts of public data sets, which only stage 1 needs to know. Standard library only.

Each layout is a module with `SHAPE`, a description for messages; `FOLDER_PER_CASE`, whether each case or patient has a
folder of its own; `recognises(folder)`, which returns whether a folder has this layout; and `find(folder)`, which
returns its cases.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from base.errors import InputError
from base.names import is_text
from data.case_folder import SPLITS
from data.layouts import acdc, brats, decathlon, kits, nnunet, pairs, segthor
from data.layouts.channels import settle_channels
from data.layouts.source_case import SourceCase

LAYOUTS: dict[str, ModuleType] = {
    "kits": kits,
    "segthor": segthor,
    "acdc": acdc,
    "brats": brats,
    "decathlon": decathlon,
    "nnunet": nnunet,
    "pairs": pairs,
}
# In case folders, any file may be named like a channel: those that few cases have are left over.
_LEAST_SHARE = {"kits": 0.5}


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


def find_source_cases(data_folder: Path, layout: str, channels: Sequence[str] = (), **options) -> list[SourceCase]:
    """Find the cases of `data_folder`, sorted by name; `options` are specific to the layout (acdc: `frames`).

    Args:
        channels: those to take, or names of channels that the data set does not name; empty for all that it names.

    Raises:
        InputError: the folder is missing, contains no case of the layout or a duplicate name, or its files do not
            match the layout.
    """
    _check_folder(data_folder, "-d")
    if layout == "decathlon":
        options["names"] = channels
    cases = LAYOUTS[layout].find(data_folder, **options)
    if not cases:
        raise InputError(data_folder, f"holds no case of the layout {layout}", f"expected {LAYOUTS[layout].SHAPE}")
    return _sorted_by_name(settle_channels(cases, channels, data_folder, _LEAST_SHARE.get(layout, 0)), data_folder)


def find_paired_cases(
    image_folders: Mapping[str, Path], reference_folder: Path | None, channels: Sequence[str] = ()
) -> list[SourceCase]:
    """Pair the files of folders by name and return the cases, sorted by name; references may be missing.

    Args:
        image_folders: of each channel by name; a single folder may have no name.
        channels: as of `find_source_cases`.

    Raises:
        InputError: a folder is missing, there is no image, or a reference has no image.
    """
    for folder in image_folders.values():
        _check_folder(folder, "--images")
    if reference_folder is not None:
        _check_folder(reference_folder, "--references")
    first = next(iter(image_folders.values()))
    cases = pairs.find_in_folders(image_folders, reference_folder)
    if not cases:
        raise InputError(first, "holds no case: there is no image file in it", "check --images")
    return _sorted_by_name(settle_channels(cases, channels, first), first)


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
    """Return the case, with a problem if its name cannot be that of a case folder.

    Image readers and tables require UTF-8.
    """
    images = [image.path for image in case.images.values()]
    if not all(is_text(path) for path in (case.name, case.image, case.reference, *images)):
        return replace(case, problem="its name is not UTF-8, as from an old archive; rename it")
    if case.name in SPLITS:
        return replace(case, problem="its name is that of a split; rename it")
    return case
