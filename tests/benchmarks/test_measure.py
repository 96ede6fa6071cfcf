"""Common parts of the benchmarks: rows, timing, memory, and failures."""

import json
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import __main__ as every
from benchmarks.measure import Row, report, run_measured, side_by_side

MEGABYTE = 10**6


def test_a_row_is_met_by_its_ratio_or_by_its_value():
    assert Row("ours", "theirs", 3.0, 10.0, 0.3, "s").is_met
    assert not Row("ours", "theirs", 3.1, 10.0, 0.3, "s").is_met
    assert Row.absolute("memory", 4.0, 4.0, "GB").is_met
    assert not Row.absolute("memory", 4.1, 4.0, "GB").is_met


def test_callables_run_alternately_and_the_first_round_does_not_count():
    calls, pauses = [], iter([0.2, 0.01, 0.01, 0.2, 0.01])

    def first():
        calls.append("first")
        time.sleep(next(pauses))

    ours, theirs = side_by_side(first, lambda: calls.append("second"), 4)
    assert calls == ["first", "second"] * 5
    assert 0.01 <= ours < 0.1  # the median of 0.01, 0.01, 0.2 and 0.01
    assert theirs < 0.01


def allocate(megabytes: int, then: str = "") -> list[str]:
    return [sys.executable, "-c", f"held = bytearray({megabytes * MEGABYTE}); {then or 'import time; time.sleep(0.2)'}"]


def test_memory_is_the_peak_of_a_command_and_its_children():
    seconds, alone = run_measured(allocate(100))
    assert seconds > 0.2
    assert 100 * MEGABYTE < alone < 150 * MEGABYTE
    _, together = run_measured(allocate(100, f"import subprocess; subprocess.run({allocate(60)})"))
    assert 160 * MEGABYTE < together < 210 * MEGABYTE


def test_a_failed_command_raises_its_status_and_output():
    with pytest.raises(RuntimeError, match="exit status 3\nto a reader"):
        run_measured([sys.executable, "-c", "print('to a reader'); raise SystemExit(3)"])


def test_a_table_is_printed_and_written(tmp_path, capsys):
    rows = [Row("ours", "theirs", 1.0, 4.0, 0.3, "s"), Row.absolute("memory", 5.0, 4.0, "GB")]
    report("a title", rows, tmp_path / "rows.json")
    _, head, first, second = capsys.readouterr().out.split("\n")[:4]
    assert head.startswith("a title")
    assert first.split() == ["ours", "theirs", "1", "4", "s", "0.250", "0.3", "yes"]
    assert second.split() == ["memory", "5", "-", "GB", "-", "4", "NO"]
    written = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["name"], row["ratio"], row["met"]) for row in written["rows"]] == [
        ("ours", 0.25, True),
        ("memory", None, False),
    ]
    assert written["machine"]["cores"] >= 1


def test_a_failed_benchmark_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    def fail(data_folder, work_folder):
        raise ValueError("no such scan")

    def succeed(data_folder, work_folder):
        assert (data_folder, work_folder) == (None, tmp_path)
        return [Row.absolute("memory", 1.0, 4.0, "GB")]

    programs = {"failing": fail, "good": succeed}
    for name, run in programs.items():
        monkeypatch.setitem(sys.modules, f"benchmarks.{name}", SimpleNamespace(run=run))
    monkeypatch.setattr(every, "PROGRAMS", tuple(programs))
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--work", str(tmp_path)])
    with pytest.raises(SystemExit) as exit_status:
        every.main()
    assert exit_status.value.code == 1
    assert "failing failed: ValueError: no such scan" in capsys.readouterr().out.splitlines()[-1]
    assert len(json.loads((tmp_path / "benchmarks.json").read_text())["rows"]) == 1


def test_rows_of_numpy_numbers_are_written(tmp_path):
    report("a title", [Row("ours", "theirs", np.float64(1.0), np.float64(4.0), 0.3, "s")], tmp_path / "rows.json")
    assert json.loads((tmp_path / "rows.json").read_text())["rows"][0]["met"] is True
