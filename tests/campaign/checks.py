"""Checks of the end of a run: status, one line of error, no traceback, limits."""

import re
from collections.abc import Iterable

from tests.campaign.running import Run

_LAST = 300  # characters of output that a problem quotes


def problems_of(run: Run, statuses: tuple[int, ...] = (0, 2), named: Iterable[str] = ()) -> list[str]:
    """Return the problems with the end of a run.

    Args:
        statuses: allowed statuses. With status 2, there must be one line of error.
        named: strings of which the line of error must contain at least one; empty for no such check.
    """
    problems = []
    if run.excess:
        problems.append(run.excess + _last_calls(run))
    elif run.status < 0:
        problems.append(f"died of signal {-run.status}")
    if run.left:
        problems.append(f"left {run.left} processes alive")
    if "Traceback" in run.stderr or "Traceback" in run.stdout:
        problems.append(f"traceback: {last_line(run)}")
    elif run.status >= 0 and run.status not in statuses:
        problems.append(f"status {run.status}: {last_line(run)}")
    elif run.status == 2:
        lines = error_lines(run)
        named = list(named)
        if len(lines) != 1:
            problems.append(f"{len(lines)} lines of error: {last_line(run)}")
        elif named and not any(name in lines[0] for name in named):
            problems.append(f"the error does not name {named[0]}: {lines[0][:_LAST]}")
    return problems


def error_lines(run: Run) -> list[str]:
    """Return the lines of error on standard error."""
    return [line for line in re.split(r"[\r\n]+", run.stderr) if line.startswith("error: ")]


def last_line(run: Run) -> str:
    """Return the last line of standard error that is not a progress bar."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", run.stderr) if line.strip() and "%|" not in line]
    return lines[-1][:_LAST] if lines else "(nothing on standard error)"


def _last_calls(run: Run) -> str:
    """Return the last calls of a run, if it printed a traceback before its time limit."""
    _, found, stack = run.stderr.rpartition("(most recent call first):")
    calls = re.findall(r'File "(?:.*/)?(\S+)", line (\d+) in (\S+)', stack)
    return f" (in {', '.join(f'{name}:{line} {function}' for name, line, function in calls[:4])})" if found else ""
