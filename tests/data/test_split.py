import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from base.errors import InputError
from data.layouts import SourceCase
from data.split import (
    check_patients_together,
    folds_of,
    outside_fold,
    read_split_file,
    split_by_shares,
    split_patients,
)

NAMES = [f"case_{number:05d}" for number in range(40)]


def test_the_split_has_the_given_shares_and_depends_only_on_the_seed():
    split = split_by_shares(NAMES, [70, 15, 15], seed=1)
    counts = [list(split.values()).count(part) for part in ("train", "val", "test")]
    assert counts == [28, 6, 6]
    assert split == split_by_shares(NAMES[::-1], [70, 15, 15], seed=1)
    assert split != split_by_shares(NAMES, [70, 15, 15], seed=2)


def test_cases_of_a_patient_stay_together():
    sources = [SourceCase(f"{name}_{n}", "image", None, patient=name) for name in NAMES for n in (1, 2)]
    split = split_patients(sources, [50, 25, 25], seed=3)
    assert [list(split.values()).count(part) for part in ("train", "val", "test")] == [40, 20, 20]
    assert all(split[f"{name}_1"] == split[f"{name}_2"] for name in NAMES)


def test_without_patients_the_cases_are_split():
    sources = [SourceCase(name, "image", None) for name in NAMES]
    assert split_patients(sources, [70, 15, 15], seed=1) == split_by_shares(NAMES, [70, 15, 15], seed=1)


def test_a_split_file_is_read(tmp_path):
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": NAMES[:2], "test": NAMES[2:3]}))
    assert read_split_file(path, NAMES) == {NAMES[0]: "train", NAMES[1]: "train", NAMES[2]: "test"}


def counts_of(split):
    return [list(split.values()).count(part) for part in ("train", "val", "test")]


@pytest.mark.parametrize("count", range(3, 14))
def test_no_share_above_0_is_empty(count):
    counts = counts_of(split_by_shares(NAMES[:count], [70, 15, 15], seed=0))
    assert sum(counts) == count
    assert min(counts) >= 1
    assert counts[0] == max(counts)


def test_a_share_of_0_is_empty():
    assert counts_of(split_by_shares(NAMES[:2], [70, 0, 30], seed=0)) == [1, 0, 1]
    assert counts_of(split_by_shares(NAMES[:5], [1, 0, 0], seed=0)) == [5, 0, 0]


def test_fewer_patients_than_shares_are_refused():
    sources = [SourceCase(f"{name}_{n}", "image", None, patient=name) for name in NAMES[:2] for n in (1, 2)]
    with pytest.raises(InputError, match="--split: 2 patients cannot fill 3 shares; give 0 for a share"):
        split_patients(sources, [70, 15, 15], seed=0)


def test_a_refused_case_is_not_split():
    sources = [SourceCase(name, "image", None, problem="there is no scan" * (name == NAMES[0])) for name in NAMES[:4]]
    assert sorted(split_patients(sources, [70, 15, 15], seed=0)) == NAMES[1:4]


def test_a_case_that_is_repaired_moves_few_others():
    whole = [SourceCase(f"c{number:02d}", Path("s"), None) for number in range(20)]
    refused = [replace(one, problem="is damaged") if one.name == "c07" else one for one in whole]
    before, after = (split_patients(cases, [70, 15, 15], seed=0) for cases in (refused, whole))
    assert "c07" not in before
    assert sum(before[name] != after[name] for name in before) <= 2


def test_a_file_with_a_patient_in_several_splits_is_refused(tmp_path):
    sources = [SourceCase(name, "image", None, patient="somebody") for name in NAMES[:2]]
    check_patients_together({NAMES[0]: "train", NAMES[1]: "train"}, sources, tmp_path)
    with pytest.raises(InputError, match=r"case_00000 in train and case_00001 in test are of one patient \(somebody\)"):
        check_patients_together({NAMES[0]: "train", NAMES[1]: "test"}, sources, tmp_path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "not a JSON file"),
        ("[1]", "not a JSON file"),
        ('{"train": 3}', "not a JSON file"),
        ('{"train": ["case_00000", "case_00000"]}', "twice"),
        ('{"train": ["case_00000"], "val": ["case_00000"]}', "twice"),
        ('{"train": ["somebody"]}', "somebody"),
        ('{"training": ["case_00000"]}', "lists cases under training"),
        ('{"of": "case_00000", "by": ["me"]}', "names no case"),
    ],
)
def test_an_invalid_file_is_refused(tmp_path, content, problem):
    path = tmp_path / "split.json"
    path.write_text(content)
    with pytest.raises(InputError, match=problem):
        read_split_file(path, NAMES)


def test_folds_are_reproducible_and_differ_by_at_most_one_patient():
    for number, count in ((14, 5), (40, 7), (5, 5)):
        sizes = Counter(folds_of(NAMES[:number], count).values())
        assert sorted(sizes) == list(range(1, count + 1))
        assert max(sizes.values()) - min(sizes.values()) <= 1
    assert folds_of(NAMES, 5) == folds_of(NAMES[::-1] * 2, 5)
    # Ordered by SHA-256 of the names; the expected values ensure that no version changes the folds.
    assert [folds_of(NAMES[:6], 3)[name] for name in NAMES[:6]] == [1, 2, 3, 2, 1, 3]


def cases_of(*patients, frames=2):
    return [SimpleNamespace(name=f"{one}_{frame}", patient=one) for one in patients for frame in range(frames)]


def test_a_fold_leaves_out_whole_patients():
    cases = cases_of(*NAMES[:9])
    for fold in (1, 2, 3):
        kept = {case.name for case in outside_fold(cases, (fold, 3))}
        left_out = {case.name for case in cases} - kept
        assert len(left_out) == 6
        assert not {name[:-2] for name in left_out} & {name[:-2] for name in kept}
    assert outside_fold(cases, None) is cases


def test_a_fold_that_would_be_empty_is_refused():
    with pytest.raises(InputError, match="--fold: 3 patients cannot fill 4 folds"):
        outside_fold(cases_of(*NAMES[:3]), (1, 4))
