"""What the README says can be typed, and its tables hold every option."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCRIPTS = ("resample_data", "training_network", "testing_network", "ensemble")

DESIGN = """
python resample_data.py -d "path-to-data-directory"
python -m visdom.server -p 8008
python training_network.py -n dil2D -d DATA/ -s SAVE/ -x 123 -i 100000 --receptive-field-size 131 --sample-size 54
 --patch-inclusion-criteria entire-sample-area --classes 0,3
python training_network.py -n dil2D -d DATA/ -s SAVE/ -x 123 -i 50000 --receptive-field-size 35 --sample-size 10
 --patch-inclusion-criteria patch_center_voxel --classes 0,1,2 --balance-ratios 0,5,5
python testing_network.py -d DATA/ -s SAVE/ -r nameofexperiment -n dil2D -e val
 --network-weights /path/to/network/weights/FINAL*100000.pth --receptive-field-size 131 --classes 0,3
python ensemble.py -d DATA/ -s SAVE/ -e val --receptive-field-size 131 --sample-size 54 --classes 0,3
python ensemble.py -d DATA/ -s SAVE/ -e val --receptive-field 35 --sample-size 10 --clip True --classes 0,1,2
pip install -r requirements.txt
"""


def commands_of(text: str) -> list[str]:
    """Commands, one a line, with their continued lines joined and single blanks."""
    joined = re.sub(r"(\\)?\n\s+", " ", text)
    return [" ".join(line.split()) for line in joined.splitlines() if line.strip()]


BLOCKS = re.findall(r"```shell\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [command.partition(" #")[0].strip() for block in BLOCKS for command in commands_of(block)]
COMMANDS += re.findall(r"`(python \w+\.py [^`]+)`", README)  # in tables


def parser_of(script: str):
    return importlib.import_module(script).build_parser()


@pytest.mark.parametrize("command", commands_of(DESIGN))
def test_the_commands_of_the_product_are_there(command):
    assert command in COMMANDS


@pytest.mark.parametrize("command", [c for c in COMMANDS if re.match(r"python \w+\.py", c)])
def test_each_command_can_be_parsed(command):
    _, script, *words = shlex.split(command)
    parser_of(script.removesuffix(".py")).parse_args(words)


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_table_holds_each_option_and_no_other(script):
    section = README.split(f"### `{script}.py`", 1)[1].split("\n#", 1)[0]
    listed = set(re.findall(r"--[a-z][a-z-]*", "".join(re.findall(r"^\| (.*?) \|", section, flags=re.MULTILINE))))
    actions = parser_of(script)._actions
    known = {option for action in actions for option in action.option_strings if option.startswith("--")}
    assert listed == known - {"--help"}
    for action in actions:
        assert action.help, action.dest


@pytest.mark.parametrize("target", ["demo", "test"])
def test_both_commands_are_named_and_exist(target):
    assert f"make {target}" in COMMANDS
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_relative_links_lead_somewhere():
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
