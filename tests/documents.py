"""Text, commands, headings and links of the documents, for tests."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def commands_of(block: str) -> list[str]:
    """Return commands, one a line, without comments, with continued lines joined and single spaces."""
    joined = re.sub(r"(\\)?\n\s+", " ", re.sub(r" +# .*", "", block))
    return [" ".join(line.split()) for line in joined.splitlines() if line.strip()]


def commands_in(text: str) -> list[str]:
    """Return the commands in the shell blocks and in the inline code of a document."""
    blocks = re.findall(r"```shell\n(.*?)```", text, flags=re.DOTALL)
    commands = [command for block in blocks for command in commands_of(block)]
    return commands + re.findall(r"`(python (?:-m )?[\w.]+ [^`]+)`", text)


def parts_of(command: str) -> list[str]:
    """Return the simple commands in a command: itself, or the body of its loops with the first value of each variable.

    for x in 1 2; do python a.py -x $x; done    gives: python a.py -x 1
    """
    if not command.startswith(("for ", "done")):
        return [command]
    for name, first in re.findall(r"\bfor (\w+) in (\S+)", command):
        command = command.replace(f"${name}", first.rstrip(";"))
    parts = (re.sub(r"^do ", "", part.strip()) for part in re.split(r";\s*|\bdone\b|\bdo\b", command))
    return [part for part in parts if part and not part.startswith("for ")]


def anchors_of(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links_of(text: str) -> list[tuple[str, str]]:
    """Return path and anchor of each link within the repository; either may be empty."""
    return re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


COMMANDS = [part for document in DOCUMENTS for one in commands_in(text_of(document)) for part in parts_of(one)]
