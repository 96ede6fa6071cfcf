"""The split that a plan proposes: as given, or by patient."""

from collections.abc import Sequence
from pathlib import Path

from base.errors import InputError
from data.case_facts import CaseFacts
from data.case_folder import SPLITS
from data.split import check_patients_together, read_split_file, split_by_shares
from stages.planning.data_set import DataSet
from stages.planning.rules import FEWEST_TO_TEST, HELD_OUT
from stages.planning.settings import Choice

_SEEDS = 100  # tried, so that every class is in train
_FEWEST_TO_COMPARE = 6  # patients: with fewer, Wilcoxon's signed-rank test does not reach p < 0.05 on two sides

Split = dict[str, list[str]]


def propose_split(
    data_set: DataSet, known: Sequence[str], split_file: Path | None, shares: Sequence[float] | None, seed: int
) -> tuple[Split, Choice]:
    """Return the case names by split, and why.

    Args:
        known: names of all cases of the data set, refused ones too.
        split_file, shares: as given by the user, or None.
        seed: of the draw.

    Raises:
        InputError: fewer than two patients have references, or the split file is not one.
    """
    given = {case.source.split for case in data_set.annotated}
    if split_file:
        told = read_split_file(split_file, list(known))
        check_patients_together(told, [case.source for case in data_set.cases], split_file)
        return _finished(data_set, lambda case: told.get(case.name), f"as in {split_file.name}")
    if len(data_set.annotated_patients) < 2:
        problem = f"{len(data_set.annotated_patients)} patients have references"
        raise InputError("--plan", problem, "at least two are needed: one to train and one to validate")
    if shares:
        drawn = split_by_shares(data_set.patients, list(shares), seed)
        return _finished(data_set, lambda case: drawn[case.source.owner], "drawn by patient in the shares of --split")
    if given >= {"train", "val"}:
        known_split = {case.name: case.source.split or "train" for case in data_set.cases}
        check_patients_together(known_split, [case.source for case in data_set.cases], data_set.layout)
        return _finished(data_set, lambda case: known_split[case.name], "as the data set has it")
    return _drawn(data_set, seed)


def _drawn(data_set: DataSet, seed: int) -> tuple[Split, Choice]:
    """Draw patients with references to validate and, unless the data set has test patients, to test."""
    tested = {case.source.owner for case in data_set.annotated if case.source.split == "test"}
    free = [patient for patient in data_set.annotated_patients if patient not in tested]
    held = max(2 if len(free) >= 6 else 1, round(HELD_OUT * len(free)))
    test = 0 if tested or len(free) < FEWEST_TO_TEST else held
    counts = [len(free) - held - test, held, test]
    labels = {one.label for one in data_set.classes}
    for number in range(seed, seed + _SEEDS):
        drawn = {**split_by_shares(free, counts, number), **dict.fromkeys(tested, "test")}
        in_train = [case.reference for case in data_set.annotated if drawn[case.source.owner] == "train"]
        if labels <= {label for reference in in_train for label in reference.structures}:
            break
    reason = "drawn by patient; scans without references train the student"
    if not (test or tested):
        reason += f"; none to test: fewer than {FEWEST_TO_TEST} patients have references"
    return _finished(data_set, lambda case: drawn.get(case.source.owner) or case.source.split or "train", reason)


def _finished(data_set: DataSet, split_of, reason: str) -> tuple[Split, Choice]:
    split: Split = {name: [] for name in SPLITS}
    patients: dict[str, set[str]] = {name: set() for name in SPLITS}
    for case in data_set.cases:
        name = split_of(case)
        if name:
            split[name].append(case.name)
            patients[name].add(case.source.owner)
    for name in ("train", "val"):
        if not _annotated(data_set.annotated, split[name]):
            problem = f"no case of {name} has a reference"
            raise InputError("--plan", problem, "name another split with --split-file, or leave it to the plan")
    if 0 < len(patients["test"]) < _FEWEST_TO_COMPARE:
        reason += f"; fewer than {_FEWEST_TO_COMPARE} test patients can show no difference (p < 0.05)"
    value = ", ".join(f"{name} {len(names)}" for name, names in split.items())
    figure = ", ".join(f"{name} {len(names)}" for name, names in patients.items())
    return split, Choice(
        "split", value, reason, f"patients: {figure}; {len(data_set.annotated_patients)} with references"
    )


def _annotated(cases: Sequence[CaseFacts], names: Sequence[str]) -> bool:
    return any(case.name in set(names) for case in cases)
