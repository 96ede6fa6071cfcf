"""Versions of this program and of the packages on which its results depend."""

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

VERSION = "1.0"
PACKAGES = ("torch", "numpy", "SimpleITK")


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of Python and of `packages`; raise PackageNotFoundError if one is not installed."""
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def describe_versions() -> str:
    """Return all versions in one line, for bug reports."""
    words = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            words.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            words.append(f"no {name}")
    return f"{VERSION} ({', '.join(words)})"
