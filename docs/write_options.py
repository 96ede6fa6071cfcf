#!/usr/bin/env python3
"""Write docs/options.md, the options of the scripts, from their parsers.

    python -m docs.write_options

Run it again whenever an option, its help text or its default changes.
"""

import argparse
import re
from importlib import import_module
from pathlib import Path

PAGE = Path(__file__).with_name("options.md")
SCRIPTS = ("resample_data", "training_network", "testing_network", "ensemble", "predict", "export_network")

_INTRODUCTION = """\
# Options

All options of the scripts. This page is written by `python -m docs.write_options` from the same texts that
`--help` prints: change those, not this page.

- A boolean option (`True|False`) may stand alone, or take `True`, `False`, `true`, `false`, `1`, `0`, `yes` or `no`.
- An option may be shortened as long as it stays unambiguous: `--receptive-field` for `--receptive-field-size`.
- An option without an entry under *default* is off, or not set.
- `DATA`, `SAVE` and the files in them are described in [files.md](files.md), data sets and classes in
  [layouts.md](layouts.md), networks, patches and intensities in [networks.md](networks.md), soft labels and students in
  [recipes.md](recipes.md), single scans and exported networks in [prediction.md](prediction.md), comparisons in
  [comparisons.md](comparisons.md), processes, threads and devices in [clusters.md](clusters.md), and the dashboard in
  [dashboard.md](dashboard.md).
"""
_DEFAULT = re.compile(r"\s*\(default: (.*)\)$")


def page() -> str:
    """Return the whole page."""
    parsers = {script: import_module(script).build_parser() for script in SCRIPTS}
    contents = "\n".join(f"- [`{script}.py`](#{script}py): {p.description}" for script, p in parsers.items())
    sections = "".join(_section(script, parser) for script, parser in parsers.items())
    return f"{_INTRODUCTION}\n{contents}\n{sections}"


def _section(script: str, parser: argparse.ArgumentParser) -> str:
    """Return a script's heading and tables, one for each titled group of its parser."""
    lines = [f"\n## `{script}.py`"]
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if not isinstance(action, argparse._HelpAction)]
        if actions:
            title = "general" if group is parser._optionals else group.title
            lines += [f"\n### {title[0].upper()}{title[1:]}\n"]
            lines += ["| option | values | default | meaning |", "| --- | --- | --- | --- |"]
            lines += [_row(parser, action) for action in actions]
    return "\n".join(lines) + "\n"


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = parser._get_formatter()._expand_help(action)  # as --help has it, with the default
    default = _DEFAULT.search(text)
    cells = [
        ", ".join(f"`{option}`" for option in action.option_strings),
        _values(action),
        "required" if action.required else default[1] if default else "",
        _DEFAULT.sub("", text),
    ]
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _escaped(cell: str) -> str:
    """Return a cell in which `|` ends no column and, outside code, `<name>` is no HTML element."""
    cell = cell.replace("|", r"\|")
    return cell if "`" in cell else cell.replace("<", "&lt;")


def _values(action: argparse.Action) -> str:
    """Return what the option takes: its choices, or the placeholder that --help shows."""
    if action.nargs == 0:
        return ""
    if action.choices:
        return ", ".join(f"`{choice}`" for choice in action.choices)
    words = action.metavar or action.dest.upper()
    words = words if isinstance(words, str) else " ".join(filter(None, words))
    several = action.nargs == "+" and not isinstance(action.metavar, tuple)
    return f"`{words}{' ...' if several else ''}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
