"""run.sh of a plan: every command that it runs is one that the scripts accept."""

import importlib
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from networks import find_architecture
from stages.planning.script import script_of
from stages.planning.settings import PlannedNetwork, Settings
from stages.resampling_options import ResamplingOptions

NETWORKS = (
    PlannedNetwork(find_architecture("UNet3D"), None, 40, 2, 3000, 8, True),
    PlannedNetwork(find_architecture("ResNet3D"), None, 40, 2, 3000),
    PlannedNetwork(find_architecture("dil2D"), 35, 16, 26, 6000),
)
SPLIT = {"train": ["a", "b"], "val": ["c"], "test": ["d"]}
SETTINGS = Settings("0,1,2", None, ("1", "1", "2.5"), "all", NETWORKS, ("CE+dice", "dice"), "ct", True, SPLIT, ())
RECORDING = """#!/usr/bin/env bash
printf '%s\\0' "$(basename "$1" .py)" "${@:2}" >> commands
printf '\\n' >> commands
"""


def commands_of(
    folder: Path, options: ResamplingOptions, settings: Settings, is_tested: bool = True, mistakes: bool = False
) -> list[list[str]]:
    """Run run.sh with a stand-in for Python; return the commands, parsed by the parsers of their scripts."""
    python = folder / "a python"
    python.write_text(RECORDING)
    python.chmod(0o755)
    script = script_of(options, "acdc", settings, 2, is_tested, mistakes)
    lines = [f"PYTHON='{python}'" if line.startswith("PYTHON=") else line for line in script.splitlines()]
    (folder / "run.sh").write_text("\n".join(lines))
    ended = subprocess.run(["bash", folder / "run.sh"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    commands = [line.split("\0")[:-1] for line in (folder / "commands").read_text().splitlines()]
    for name, *words in commands:
        importlib.import_module(name).build_parser().parse_args(words)
    return commands


@pytest.fixture
def options(tmp_path) -> ResamplingOptions:
    return ResamplingOptions(data=tmp_path / "my data", plan=tmp_path)


def test_all_stages_follow_each_other(tmp_path, options):
    commands = commands_of(tmp_path, options, SETTINGS)
    names = [name for name, *_ in commands]
    assert names == [
        "resample_data",
        *["training_network"] * 6,
        *["testing_network"] * 6,
        *["ensemble"] * 2,
        "training_network",
        "testing_network",
        "ensemble",
        *["testing_network"] * 2,
    ]
    assert commands[0][1:5] == ["-d", str(tmp_path / "my data"), "--layout", "acdc"]
    assert commands[0][-5:] == ["1", "1", "2.5", "-j", "2"]
    member = " ".join(commands[1])
    assert "-n UNet3D --sample-size 40 -b 2 -i 3000 --features 8 --deep-supervision -r UNet3D_CE+dice" in member
    assert "--planes" not in member  # a 3D network has none
    assert "-n dil2D --receptive-field-size 35 --sample-size 16 -b 26 -i 6000 --planes all" in " ".join(commands[6])
    assert "--soft" in commands[15]
    assert commands[-1][-3:-1] == ["--compare", f"{commands[-2][-1].split('FINAL_')[1].removesuffix('_*.pth')}"]


def test_test_cases_without_references_are_predicted_and_validation_cases_compared(tmp_path, options):
    *_, compared, predicted = commands_of(tmp_path, options, SETTINGS, is_tested=False)
    assert compared[compared.index("-e") + 1] == "val" and "--compare" in compared
    assert predicted[predicted.index("-e") + 1] == "test" and "--compare" not in predicted


def test_the_mean_dice_of_cases_whose_names_hold_commas(tmp_path, options):
    script = script_of(options, "acdc", SETTINGS, 2, True, False)
    start = script.index("mean_dice() {")
    function = script[start : script.index("\n}\n", start) + 3]
    (tmp_path / "a" / "val").mkdir(parents=True)
    rows = ['"Doe, J",1,0.9,5', "plain,1,0.5,7", "none,1,,7"]
    (tmp_path / "a" / "val" / "metrics.csv").write_text("\n".join(["case,class,dice,asd_mm", *rows, ""]))
    words = ["bash", "-c", f"SAVE={tmp_path}\n{function}mean_dice a"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "0.7\n"


@pytest.mark.parametrize("flip", [True, False])
def test_members_are_mirrored_where_the_ensemble_sees_mirrored_views(tmp_path, options, flip):
    commands = commands_of(tmp_path, options, replace(SETTINGS, flip=flip))
    for name, *words in commands:
        assert ("--flip" in words) == (flip and name == "training_network")
        assert ("--views" in words) == (flip and name == "ensemble")


def test_without_test_cases_the_validation_cases_are_compared(tmp_path, options):
    commands = commands_of(tmp_path, options, replace(SETTINGS, split={**SPLIT, "test": []}), is_tested=False)
    splits = {words[words.index("-e") + 1] for words in commands if "-e" in words}
    assert splits == {"train", "val"}
    assert "--compare" in commands[-1]


def test_the_data_set_is_described_as_it_was_to_the_plan(tmp_path):
    options = ResamplingOptions(
        images=(str(tmp_path / "SCANS"),),
        references=tmp_path / "LABELS",
        patients=tmp_path / "p.csv",
        scribbles="slices",
        plan=tmp_path,
    )
    [first, *_] = commands_of(tmp_path, options, replace(SETTINGS, ignore_label=4), mistakes=True)
    named = ["--images", tmp_path / "SCANS", "--references", tmp_path / "LABELS", "--patients", tmp_path / "p.csv"]
    assert first[1:11] == [*map(str, named), "--ignore-label", "4", "--scribbles", "slices"]
