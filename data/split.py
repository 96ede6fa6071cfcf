"""Which case belongs to training, validation and test."""

import hashlib
from pathlib import Path

import numpy as np

from base.errors import InputError
from base.json_files import read_json
from data.case_folder import SPLITS
from data.layouts import SourceCase


def split_by_shares(names: list[str], shares: list[float], seed: int) -> dict[str, str]:
    """Distribute `names` at random into train, val and test in the given `shares`; the same for the same names."""
    shuffled = np.random.default_rng(seed).permutation(sorted(names))
    ends = np.round(np.cumsum(shares) / np.sum(shares) * len(names)).astype(int)
    parts = np.split(shuffled, ends[:-1])
    return {str(name): split for split, part in zip(SPLITS, parts) for name in part}


def fold_of(name: str, count: int) -> int:
    """Number from 1 to `count` of the fold of a case: by a hash of its name, so that it never changes."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % count + 1


def outside_fold(cases: list, fold: tuple[int, int] | None) -> list:
    """Those of `cases` that do not belong to fold (number, of how many); all for None.

    Raises:
        InputError: none is left.
    """
    kept = [case for case in cases if fold is None or fold_of(case.name, fold[1]) != fold[0]]
    if not kept:
        raise InputError("--fold", "leaves no training case", "choose another fold, or leave --fold out")
    return kept


def split_patients(sources: list[SourceCase], shares: list[float], seed: int) -> dict[str, str]:
    """Distribute cases as `split_by_shares` does their patients: all cases of a patient go to one split."""
    patients = {source.name: source.patient or source.name for source in sources}
    split = split_by_shares(sorted(set(patients.values())), shares, seed)
    return {name: split[patient] for name, patient in patients.items()}


def read_split_file(path: Path, names: list[str]) -> dict[str, str]:
    """Read a JSON file of case names under train, val and test.

    Raises:
        InputError: the file is unreadable, names a case twice, or one that is not among `names`.
    """
    remedy = 'write {"train": [...], "val": [...], "test": [...]}'
    try:
        content = read_json(path, {f"{split}?": [str] for split in SPLITS}, remedy, "is no JSON of case names")
    except FileNotFoundError:
        raise InputError(path, "there is no such file", "check --split-file") from None
    pairs = [(name, split) for split in SPLITS for name in content.get(split, [])]
    known, seen = set(names), set()
    for name, _ in pairs:
        if name not in known:
            raise InputError(path, f"names case {name}, which the data do not hold", "check the name")
        if name in seen:
            raise InputError(path, f"names case {name} twice", "keep one of them")
        seen.add(name)
    if not pairs:
        raise InputError(path, "names no case", f"list case names under {', '.join(SPLITS)}")
    return dict(pairs)


def current_folder(root: Path, source: SourceCase, split: dict[str, str]) -> Path:
    """Folder of a case below `root`: where it lies already (someone may have moved it), else where it is to go."""
    for place in ("", *SPLITS):
        folder = root / place / source.name
        if folder.is_dir():
            return folder
    return root / (split.get(source.name) or source.split or "") / source.name
