"""Distribution of cases to training, validation and test, and to folds of cross-validation."""

import hashlib
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

import numpy as np

from base.errors import InputError
from base.json_files import read_json
from data.case_folder import RECORD, SPLITS, recorded_patient
from data.layouts import SourceCase


def split_by_shares(names: list[str], shares: list[float], seed: int, left_out: Container[str] = ()) -> dict[str, str]:
    """Distribute `names` randomly into train, val and test in the given `shares`, independently of their order.

    Each share above 0 receives at least one name. Names that are `left_out` take part in the drawn order alone: if they
    are not left out later, one case at the end of each share moves, and not all.

    Raises:
        InputError: there are fewer names than shares above 0.
    """
    shuffled = [name for name in np.random.default_rng(seed).permutation(sorted(names)) if name not in left_out]
    counts = _counts(len(shuffled), shares)
    parts = np.split(shuffled, np.cumsum(counts)[:-1])
    return {str(name): split for split, part in zip(SPLITS, parts) for name in part}


def _counts(number: int, shares: list[float]) -> np.ndarray:
    """Return the number of patients for each share, out of `number` patients."""
    wanted = np.array(shares) > 0
    if number < wanted.sum():
        problem = f"{number} patients cannot fill {wanted.sum()} shares"
        raise InputError("--split", problem, "give 0 for a share that may be empty, or add patients")
    ends = np.round(np.cumsum(shares) / np.sum(shares) * number).astype(int)
    counts = np.diff(ends, prepend=0)
    for share in np.flatnonzero(wanted & (counts == 0)):
        counts[counts.argmax()] -= 1
        counts[share] += 1
    return counts


def folds_of(patients: Iterable[str], count: int) -> dict[str, int]:
    """Return the fold (1 to `count`) of each patient, always the same for the same patients.

    Patients are assigned to folds in turn, ordered by a hash of their names; the sizes of folds differ by at most one.

    Raises:
        InputError: there are fewer patients than folds.
    """
    ordered = sorted(set(patients), key=lambda patient: (hashlib.sha256(patient.encode()).digest(), patient))
    if len(ordered) < count:
        problem = f"{len(ordered)} patients cannot fill {count} folds: some would be empty"
        raise InputError("--fold", problem, "choose fewer folds, or leave --fold out")
    return {patient: number % count + 1 for number, patient in enumerate(ordered)}


def outside_fold(cases: list, fold: tuple[int, int] | None) -> list:
    """Return the `cases` whose patients are not in `fold` (number, count), or all cases for None.

    Raises:
        InputError: there are fewer patients than folds.
    """
    if fold is None:
        return cases
    number, count = fold
    folds = folds_of((case.patient for case in cases), count)
    return [case for case in cases if folds[case.patient] != number]


def split_patients(sources: list[SourceCase], shares: list[float], seed: int) -> dict[str, str]:
    """Distribute cases by patient with `split_by_shares`, so that all cases of a patient are in the same split.

    Cases that are already known to be refused are left out.
    """
    patients = {source.name: source.owner for source in sources if not source.problem}
    owners = {source.owner for source in sources}
    split = split_by_shares(sorted(owners), shares, seed, owners - set(patients.values()))
    return {name: split[patient] for name, patient in patients.items()}


def check_patients_together(split: Mapping[str, str], sources: Iterable[SourceCase], place: Path | str) -> None:
    """Raise InputError if the `split` that was read from `place` has cases of one patient in several splits."""
    first_cases: dict[str, SourceCase] = {}
    for source in sources:
        if source.name not in split:
            continue
        first = first_cases.setdefault(source.owner, source)
        if split[first.name] != split[source.name]:
            problem = (
                f"{first.name} in {split[first.name]} and {source.name} in {split[source.name]} are of one patient"
            )
            raise InputError(place, f"{problem} ({source.owner})", "keep a patient's cases together")


def read_split_file(path: Path, names: list[str]) -> dict[str, str]:
    """Read a JSON file that lists case names under train, val and test.

    Raises:
        InputError: the file is unreadable, names a case twice, names a case that is not in `names`, or lists
            cases under another name.
    """
    remedy = 'write {"train": [...], "val": [...], "test": [...]}'
    try:
        content = read_json(path, {f"{split}?": [str] for split in SPLITS}, remedy, "is not a JSON file of case names")
    except FileNotFoundError:
        raise InputError(path, "there is no such file", "check --split-file") from None
    others = [
        key
        for key, value in content.items()
        if key not in SPLITS and isinstance(value, list) and any(name in names for name in value)
    ]
    if others:
        raise InputError(path, f"lists cases under {others[0]}", f"list them under {', '.join(SPLITS)}")
    pairs = [(name, split) for split in SPLITS for name in content.get(split, [])]
    known, seen = set(names), set()
    for name, _ in pairs:
        if name not in known:
            raise InputError(path, f"names case {name}, which is not in the data", "check the name")
        if name in seen:
            raise InputError(path, f"names case {name} twice", "keep one of them")
        seen.add(name)
    if not pairs:
        raise InputError(path, "names no case", f"list case names under {', '.join(SPLITS)}")
    return dict(pairs)


def cases_in_splits(root: Path) -> dict[str, dict[str, str]]:
    """Return the resampled cases in the splits of `root`: the patient of each by name, by split."""
    folders = {split: root / split for split in SPLITS}
    return {
        split: {
            path.name: recorded_patient(path) or path.name
            for path in sorted(folder.iterdir() if folder.is_dir() else ())
            if (path / RECORD).is_file()
        }
        for split, folder in folders.items()
    }


def current_folder(root: Path, source: SourceCase, split: dict[str, str]) -> Path:
    """Return the folder of a case below `root`: where it exists (the user may have moved it), or where it belongs."""
    for parent in ("", *SPLITS):
        folder = root / parent / source.name
        if folder.is_dir():
            return folder
    return root / (split.get(source.name) or source.split or "") / source.name
