"""Requirements give version ranges to users; the project's own commands install exact versions."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def lines_of(name: str) -> list[str]:
    """Return the requirements in a file, without comments."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def names_in(name: str) -> set[str]:
    return {re.match(r"[\w-]+", line)[0] for line in lines_of(name) if not line.startswith("-r ")}


FILES = sorted(path.name for path in ROOT.glob("requirements*.txt"))


@pytest.mark.parametrize("name", FILES)
def test_each_requirement_has_an_exact_version_that_was_tested(name):
    assert names_in(name) <= names_in("constraints.txt")
    assert all(re.match(r"[\w-]+==[\w.]+( *;|$)", line) for line in lines_of("constraints.txt"))


def test_requirements_do_not_pin_pytorch():
    exact = [line for line in lines_of("requirements.txt") if "==" in line.partition(";")[0]]
    assert all(line.startswith("visdom") for line in exact)


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-visdom.txt"])
def test_tornado_versions_that_refuse_visdoms_page_are_excluded(name):
    assert any(re.match(r"tornado.*<6\.6$", line) for line in lines_of(name))


def test_visdom_that_must_be_built_has_its_own_requirements_file():
    """An isolated build of visdom 0.2.4 uses the newest setuptools and fails."""
    for name in FILES:
        built = [line for line in lines_of(name) if re.match(r"visdom==0\.2", line)]
        assert bool(built) == (name == "requirements-visdom.txt")
    for text in ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "Makefile")):
        commands = [line for line in text.splitlines() if "-r requirements-visdom.txt" in line]
        assert commands
        assert all("--no-build-isolation" in command for command in commands)


def test_commands_of_the_project_install_exact_versions():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = [line for line in makefile.splitlines() if "pip install" in line or "-r requirements" in line]
    assert all(line.startswith(("INSTALL := ", "\t$(INSTALL) ")) for line in commands)
    assert re.search(r"^INSTALL := .* -c constraints\.txt$", makefile, flags=re.MULTILINE)
    assert all("pip install" not in path.read_text(encoding="utf-8") for path in (ROOT / ".ci").iterdir())
