"""The version of this program, and of what its results depend on."""

import platform
from importlib.metadata import PackageNotFoundError, version

VERSION = "1.0"
PACKAGES = ("torch", "numpy", "SimpleITK")


def versions() -> dict[str, str]:
    """Versions of what computes the results; raises PackageNotFoundError where something is not installed."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def describe_versions() -> str:
    """All of them in a line, for a report of a fault."""
    words = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            words.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            words.append(f"no {name}")
    return f"{VERSION} ({', '.join(words)})"
