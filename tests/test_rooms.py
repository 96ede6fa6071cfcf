"""Import rules: which package may import which, and no circular imports."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ("resample_data", "training_network", "testing_network", "ensemble", "predict", "export_network")
# Packages that the files of a package may import from, besides their own.
ALLOWED = {
    "base": (),
    "data": ("base",),
    "networks": ("base",),
    "utils": ("base",),
    "stages": ("base", "data", "networks", "utils"),
    "studies": ("base", "benchmarks", "stages", "utils"),
    "benchmarks": ("base", "data", "networks", "utils", "stages", *SCRIPTS),
    **{script: ("base", "stages", "utils") for script in SCRIPTS},
}


def modules() -> dict[str, Path]:
    """Return the path of every module of the project except its tests, by dotted name."""
    paths = [path for package in ALLOWED for path in (*ROOT.glob(f"{package}.py"), *ROOT.glob(f"{package}/**/*.py"))]
    dotted = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}
    return {name.removesuffix(".__init__"): path for name, path in dotted.items()}


def imports_of(name: str, known: dict[str, Path]) -> set[str]:
    """Return the modules of the project that a module imports, at its top or within functions."""
    found = set()
    for node in ast.walk(ast.parse(known[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports by a relative name"
            parts = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {part if part in known else node.module for part in parts}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    own = {one for one in found if one.split(".")[0] in ALLOWED}
    assert own <= known.keys(), f"{name} imports what there is not: {sorted(own - known.keys())}"
    return own - {name}


KNOWN = modules()
IMPORTS = {name: imports_of(name, KNOWN) for name in KNOWN}


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_allowed_packages(package):
    own = [name for name in KNOWN if name.split(".")[0] == package]
    assert own
    broken = [
        f"{name} imports {other}"
        for name in own
        for other in sorted(IMPORTS[name])
        if other.split(".")[0] not in (package, *ALLOWED[package])
    ]
    assert not broken


def test_there_are_no_circular_imports():
    left = {name: set(others) for name, others in IMPORTS.items()}
    while free := [name for name, others in left.items() if not others]:
        for name in free:
            del left[name]
        for others in left.values():
            others.difference_update(free)
    assert not left, f"in or above a circle: {sorted(left)}"


def test_one_module_imports_matplotlib():
    """It does so after it has put aside a notebook's MPLBACKEND, with which the import may fail."""
    importers = set()
    for name, path in KNOWN.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = [node.module] if isinstance(node, ast.ImportFrom) else []
            named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            importers |= {name for one in named if one.split(".")[0] in ("matplotlib", "pylab")}
    assert importers == {"utils.runtime.figures"}


def test_the_scripts_stay_short():
    """Scripts hold only the command line; the work of a stage is in stages/."""
    for script in SCRIPTS:
        assert len((ROOT / f"{script}.py").read_text(encoding="utf-8").splitlines()) <= 150
