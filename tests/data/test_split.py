import json

import numpy as np
import pytest

from base.errors import InputError
from data.layouts import SourceCase
from data.split import fold_of, read_split_file, split_by_shares, split_patients

NAMES = [f"case_{number:05d}" for number in range(40)]


def test_shares_are_kept_and_depend_on_the_seed_alone():
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


def test_a_file_says_who_goes_where(tmp_path):
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": NAMES[:2], "test": NAMES[2:3]}))
    assert read_split_file(path, NAMES) == {NAMES[0]: "train", NAMES[1]: "train", NAMES[2]: "test"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "no JSON"),
        ("[1]", "no JSON"),
        ('{"train": 3}', "no JSON"),
        ('{"train": ["case_00000", "case_00000"]}', "twice"),
        ('{"train": ["case_00000"], "val": ["case_00000"]}', "twice"),
        ('{"train": ["somebody"]}', "somebody"),
        ('{"training": ["case_00000"]}', "names no case"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, content, problem):
    path = tmp_path / "split.json"
    path.write_text(content)
    with pytest.raises(InputError, match=problem):
        read_split_file(path, NAMES)


def test_folds_are_of_about_one_size_and_never_change():
    counts = np.bincount([fold_of(f"case_{number:05d}", 5) for number in range(1000)])
    assert counts[0] == 0
    assert (np.abs(counts[1:] - 200) < 60).all()
    # SHA-256 of the name, as one number, modulo five: written down, so that no version changes it.
    assert [fold_of(name, 5) for name in ("case_00000", "case_00001", "hippocampus_001")] == [5, 5, 2]
