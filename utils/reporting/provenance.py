"""How a report was made: the command and the versions of what its figures depend on."""

import shlex
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from base.version import VERSION, versions


@dataclass(frozen=True)
class Provenance:
    """The last command that worked on a result, the versions in use, and the time."""

    command: str
    versions: dict[str, str]
    written: str

    @classmethod
    def now(cls) -> "Provenance":
        """Return the provenance of what this process writes."""
        words = [Path(sys.argv[0]).name, *sys.argv[1:]]
        written = datetime.now().astimezone().isoformat(" ", "seconds")
        return cls(f"python {shlex.join(words)}", {"this program": VERSION, **versions()}, written)
