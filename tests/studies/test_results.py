"""Stored results of a study are read back unchanged, and only with the same settings."""

import pytest

from studies.results import Part, Results, values_of
from studies.steps import StepError


def case_rows(group: str, run: str, split: str, dices: dict[str, tuple[float, float]]) -> list[dict]:
    """Return rows of cases.csv; `dices` are those of classes 1 and 2, by case."""
    empty = dict.fromkeys(
        ("surface_dice", "asd_mm", "hausdorff_mm", "hausdorff95_mm", "ece", "brier"),
    )
    return [
        {"group": group, "run": run, "split": split, "case": case, "class": region, "dice": dice, **empty}
        for case, both in dices.items()
        for region, dice in zip("12", both)
    ]


ROWS = [
    *case_rows("pair", "one", "test", {"a": (0.8, 0.6), "b": (0.5, 0.7)}),
    *case_rows("pair", "two", "test", {"a": (0.9, 0.8), "b": (0.7, 0.7)}),
    *case_rows("pair", "two", "val", {"c": (0.1, 0.1)}),
    *case_rows("other", "three", "test", {"a": (0.2, 0.2), "b": (0.2, 0.2)}),
]


def test_a_case_of_a_group_counts_once_with_the_mean_of_its_runs(tmp_path):
    results = Results(tmp_path)
    results.keep("some", {}, Part(cases=ROWS))
    values = values_of(results.read("cases"), "pair", "test")
    assert values["1", "dice"] == pytest.approx({"a": 0.85, "b": 0.6})
    assert values["2", "dice"] == pytest.approx({"a": 0.7, "b": 0.7})
    assert values["mean", "dice"] == pytest.approx({"a": 0.775, "b": 0.65})
    assert values["1", "asd_mm"] == {"a": None, "b": None}
    assert values_of(results.read("cases"), "one", "test")["mean", "dice"] == pytest.approx({"a": 0.7, "b": 0.6})


def test_a_part_is_valid_for_its_own_settings_only(tmp_path):
    results, settings = Results(tmp_path), {"seeds": (1, 2), "share": 1}
    assert not results.has("some", settings)
    results.keep("some", settings, Part(chosen={"alpha": 0.5}))
    assert results.has("some", settings)
    assert results.chosen("some") == {"alpha": 0.5}
    with pytest.raises(StepError, match=r"was made with seeds \[1, 2\], not \[1, 2, 3\]; choose another --results"):
        results.has("some", {"seeds": (1, 2, 3), "share": 1})


def test_an_incomplete_part_does_not_count(tmp_path):
    results = Results(tmp_path)
    results.keep("some", {}, Part())
    (tmp_path / "some" / "part.json").unlink()
    assert not results.has("some", {})
