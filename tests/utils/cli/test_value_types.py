import argparse
from dataclasses import dataclass
from typing import ClassVar

import pytest

from base.errors import InputError
from utils.cli import value_types
from utils.cli.options import add_options, flag, read_options


@dataclass(frozen=True, kw_only=True)
class Flags:
    TITLE: ClassVar[str] = "flags"
    clip: bool = flag("--clip", help="clip")


@pytest.mark.parametrize("text", ["True", "true", "1", "yes", "YES"])
def test_words_that_mean_true(text):
    assert parse_flag("--clip", text) is True


@pytest.mark.parametrize("text", ["False", "false", "0", "no"])
def test_words_that_mean_false(text):
    assert parse_flag("--clip", text) is False


def test_a_flag_without_a_value_is_true_and_an_omitted_one_false():
    assert parse_flag("--clip") is True
    assert parse_flag() is False


def parse_flag(*words):
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_options(parser, Flags)
    return read_options(Flags, parser.parse_args(words)).clip


def test_other_words_are_refused_as_boolean():
    with pytest.raises(argparse.ArgumentTypeError, match="neither true nor false"):
        value_types.parse_bool("maybe")


@pytest.mark.parametrize("text", ["patch_center_voxel", "patch-center-voxel"])
def test_criteria_with_hyphens_or_underscores(text):
    assert value_types.parse_criterion(text) == "patch-center-voxel"


def test_a_pattern_must_match_exactly_one_file(tmp_path):
    (tmp_path / "FINAL_a_10.pth").touch()
    (tmp_path / "FINAL_a_20.pth").touch()
    assert value_types.one_file("--w", [str(tmp_path / "FINAL*20.pth")]).name == "FINAL_a_20.pth"
    with pytest.raises(InputError, match=r"FINAL_a_10\.pth.*FINAL_a_20\.pth"):
        value_types.one_file("--w", [str(tmp_path / "FINAL*.pth")])
    with pytest.raises(InputError, match="no file matches"):
        value_types.one_file("--w", [str(tmp_path / "LAST*.pth")])


def test_an_existing_name_with_brackets_is_taken_literally(tmp_path):
    path = tmp_path / "FINAL_[a]_10.pth"
    path.touch()
    assert value_types.one_file("--w", [str(path)]) == path


def test_patterns_below_a_folder_with_brackets(tmp_path, monkeypatch):
    path = tmp_path / "data [1]" / "run" / "FINAL_a_10.pth"
    path.parent.mkdir(parents=True)
    path.touch()
    (tmp_path / "data 1").mkdir()
    assert value_types.one_file("--w", [f"{tmp_path}/data [1]/*/FINAL*10.pth"]) == path
    monkeypatch.chdir(tmp_path)
    assert value_types.one_file("--w", ["data [1]/r?n/FINAL*.pth"]) == path.relative_to(tmp_path)
    assert value_types.one_file("--w", ["d* [[]1]/run/FINAL*.pth"]) == path.relative_to(tmp_path)
    with pytest.raises(InputError, match="no file matches"):
        value_types.one_file("--w", ["data [2]/*/FINAL*.pth"])


@pytest.mark.parametrize("text", ["0,0", "a", "1,-1", ""])
def test_invalid_ratios_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        value_types.parse_ratios(text)


def test_folds_and_shares():
    assert value_types.parse_fold("2/5") == (2, 5)
    assert value_types.parse_share("0.25") == 0.25
    for parse, text in [(value_types.parse_fold, t) for t in ("0/5", "6/5", "2", "1/1", "a/b")] + [
        (value_types.parse_share, t) for t in ("1.1", "-0.1", "half")
    ]:
        with pytest.raises(argparse.ArgumentTypeError):
            parse(text)
