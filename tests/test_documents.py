"""Commands in the documents are valid, links have targets, and the page of options matches the parsers."""

import importlib
import importlib.util
import os
import re
import shlex
from unittest import mock

import pytest

from docs import write_options
from tests.documents import COMMANDS, DOCUMENTS, ROOT, anchors_of, commands_in, links_of, parts_of, text_of

SCRIPT = re.compile(r"(?:python|torchrun .*?) ?\b(\w+)\.py\b(.*)")
MODULE = re.compile(r"\S*python -m ([\w.]+)(.*)")


def matching(pattern: re.Pattern) -> list[tuple[str, str]]:
    """Return the groups of a pattern's matches in the commands of all documents, each once."""
    matches = (pattern.match(command.removeprefix("srun ")) for command in COMMANDS)
    return sorted({match.groups() for match in matches if match})


def test_commands_are_found_in_loops_and_lines():
    loop = "for x in 1 2; do\n  for y in a b; do\n    python s.py -x $x \\\n        -y $y  # why\n  done\ndone\n"
    text = f"```shell\n{loop}```\n`python t.py -z`, and\n\n```shell\nmake it     # now\n```\n"
    commands = [part for command in commands_in(text) for part in parts_of(command)]
    assert commands == ["python s.py -x 1 -y a", "make it", "python t.py -z"]


@pytest.mark.parametrize(("script", "words"), matching(SCRIPT))
def test_each_command_of_a_script_can_be_parsed(script, words):
    importlib.import_module(script).build_parser().parse_args(shlex.split(words))


@pytest.mark.parametrize(("module", "words"), matching(MODULE))
def test_each_module_in_a_command_exists(module, words):
    assert importlib.util.find_spec(module)
    if importlib.util.find_spec(module).submodule_search_locations:
        module += ".__main__"
    if module in (
        "studies.acdc.__main__",
        "studies.hippocampus.__main__",
        "studies.scribbles.__main__",
        "tests.campaign.__main__",
    ):
        with mock.patch.dict(os.environ):  # the campaign changes it
            importlib.import_module(module).build_parser().parse_args(shlex.split(words))


def test_each_make_target_exists():
    targets = {match for (match,) in matching(re.compile(r"make (\w+)"))}
    assert targets >= {"demo", "test", "benchmark"}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets == set(re.findall(r"^(\w+):", makefile, flags=re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_link_targets_exist(document):
    folder = (ROOT / document).parent
    for path, anchor in links_of(text_of(document)):
        target = (folder / path).resolve() if path else ROOT / document
        assert target.exists(), path
        if anchor:
            assert anchor in anchors_of(target.read_text(encoding="utf-8")), f"{path}#{anchor}"


def test_the_page_of_options_matches_the_parsers():
    assert write_options.PAGE.read_text(encoding="utf-8") == write_options.page(), "python -m docs.write_options"


@pytest.mark.parametrize("script", write_options.SCRIPTS)
def test_the_page_holds_each_option_and_its_help(script):
    section = write_options.page().split(f"## `{script}.py`", 1)[1].split("\n## ", 1)[0]
    listed = re.findall(r"^\| [^|]*?`(--[a-z0-9-]+)` \|", section, flags=re.MULTILINE)
    actions = importlib.import_module(script).build_parser()._actions
    assert sorted(listed) == sorted(action.option_strings[-1] for action in actions if action.dest != "help")
    for action in actions:
        assert action.help, action.dest
