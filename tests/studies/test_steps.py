"""A step runs once, also if the study is stopped in between."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from studies.steps import Step, StepError, Steps

ROOT = Path(__file__).resolve().parents[2]


def step(name: str, program: str) -> Step:
    return Step(name, ("-c", program))


def counting(name: str, counter: Path, then: str = "") -> Step:
    """Return a step that adds a line to a file each time it runs."""
    return step(name, f"open({str(counter)!r}, 'a').write('{name}\\n'); {then}")


@pytest.fixture
def steps(tmp_path) -> Steps:
    return Steps(tmp_path / "steps", tmp_path, cores=2)


def test_finished_steps_do_not_run_again(steps, tmp_path):
    counter = tmp_path / "ran"
    steps.run([counting("a", counter), counting("b", counter)])
    steps.run([counting("b", counter), counting("c", counter)])
    assert counter.read_text().split() == ["a", "b", "c"]


def test_a_failed_step_reports_why_and_runs_again(steps, tmp_path):
    counter = tmp_path / "ran"
    failing = counting("a", counter, "raise SystemExit('out of paper')")
    for _ in range(2):
        with pytest.raises(StepError, match=r"a ended with status 1: out of paper \(output: .*a.log\)"):
            steps.run([failing, counting("b", counter)])
    assert counter.read_text().split() == ["a", "a"]


def test_a_step_finished_with_another_command_is_refused(steps):
    steps.run([step("a", "print(1)")])
    with pytest.raises(StepError, match=r"was run as -c print\(1\); choose another --work"):
        steps.run([step("a", "print(2)")])


def test_parallel_steps_share_the_cores(steps, tmp_path, monkeypatch):
    """Each of two steps waits for the other to start, so that they must run in parallel. The third runs alone."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    program = (
        "import os, pathlib, time; pathlib.Path('{own}').write_text(os.environ.get('OMP_NUM_THREADS', ''))\n"
        "while not pathlib.Path('{other}').exists(): time.sleep(0.01)"
    )
    pair = [
        step("a", program.format(own="a.txt", other="b.txt")),
        step("b", program.format(own="b.txt", other="a.txt")),
    ]
    steps.run([*pair, step("c", program.format(own="c.txt", other="c.txt"))], at_once=2)
    assert [(tmp_path / name).read_text() for name in ("a.txt", "b.txt", "c.txt")] == ["1", "1", ""]


def test_a_failed_step_stops_the_other(steps, tmp_path):
    waiting = step("a", "import time; time.sleep(60)")
    began = time.monotonic()
    with pytest.raises(StepError, match="b ended"):
        steps.run([waiting, step("b", "raise SystemExit(3)")], at_once=2)
    assert time.monotonic() - began < 30


STUDY = """
import signal, sys
from pathlib import Path
from studies.steps import Step, Steps
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
child = "import os, time; open('pid.tmp', 'w').write(str(os.getpid())); os.rename('pid.tmp', 'pid'); time.sleep(60)"
Steps(Path("steps"), Path.cwd(), 2).run([Step("a", ("-c", child))])
"""


def test_a_stopped_study_leaves_no_process(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    study = subprocess.Popen([sys.executable, "-c", STUDY], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    while not (tmp_path / "pid").exists():
        time.sleep(0.02)
    study.send_signal(signal.SIGTERM)
    assert study.wait(30) == 143
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert not (tmp_path / "steps" / "a.json").exists()
