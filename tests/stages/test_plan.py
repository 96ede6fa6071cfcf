"""The plan of a data set, as a user makes it, and its run.sh from the raw data set to the comparison."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from base.errors import InputError
from stages.planning import rules
from tests.material import rows_of, write_kidney
from tests.served_python import served_python

ANNOTATED = 4  # cases


def contents(folder: Path) -> dict:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(folder.rglob("*"))}


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    """Return a data set of kidneys: four with references, one without, one with a damaged scan."""
    folder = tmp_path_factory.mktemp("raw") / "RAW"
    for number in range(ANNOTATED + 1):
        write_kidney(folder / f"case_{number:05d}", seed=number, with_reference=number < ANNOTATED)
    damaged = write_kidney(folder / "case_00099", seed=99) / "imaging.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-500])
    return folder


@pytest.fixture(scope="module")
def plan(raw, call, tmp_path_factory) -> Path:
    """Return the plan of the data set, with the smallest networks."""
    folder, before = tmp_path_factory.mktemp("plan") / "PLAN", contents(raw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "CONTEXT", 0.5)
        patch.setattr(rules, "VOXELS_A_STEP", {2: 1, 3: 1})
        patch.setattr(rules, "SMALLEST_SAMPLE", {2: 16, 3: 8})
        patch.setattr(rules, "LARGEST_SAMPLE", {2: 16, 3: 8})
        with pytest.raises(InputError, match="1 of 6 cases are refused"):
            call("resample_data.py", "-d", raw, "--plan", folder)
    assert contents(raw) == before  # nothing is written into the data set
    return folder


def test_the_plan_states_facts_reasons_and_hours(plan, raw):
    page, record = (plan / "plan.md").read_text(), json.loads((plan / "plan.json").read_text())
    assert "5 cases of 5 patients, layout kits, 1 channel. 4 cases of 4 patients have references" in page
    assert re.search(r"- refused: case_00099: .*imaging.nii.gz: .*", page)
    assert (plan / "plan.png").stat().st_size > 10_000
    assert list(record["refused"]) == ["case_00099"]
    assert record["cases"]["case_00000"]["orientation"] == "IPL"
    assert sorted(record["cases"]["case_00000"]["reference"]["structures"]) == ["1", "2"]
    assert record["cases"]["case_00004"]["reference"] is None
    assert record["settings"]["classes"] == "0,1,2"
    assert all(setting["reason"] and setting["figure"] for setting in record["settings"]["choices"])
    assert all(hours > 0 for hours in record["hours"].values())
    split = json.loads((plan / "split.json").read_text())
    assert {name: len(cases) for name, cases in split.items()} == {"train": 4, "val": 1, "test": 0}
    assert "case_00004" in split["train"]  # it trains the student


def test_run_sh_runs_from_the_raw_data_set_to_the_comparison(plan, tmp_path):
    """With fewer iterations and members, as a user would cut them."""
    cuts = {r"-i \d+": "-i 3", r"in CE\+dice dice": "in CE+dice"}
    script, kinds = (plan / "run.sh").read_text(), ("UNet2D", "ResNet2D", "dil2D")
    with served_python(tmp_path) as python:
        for pattern, replacement in {**cuts, "(?m)^PYTHON=.*": f"PYTHON={python}"}.items():
            script, count = re.subn(pattern, replacement, script)
            assert count
        (plan / "short.sh").write_text(script)
        ended = subprocess.run(["bash", plan / "short.sh"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    best = re.search(r"best kind on the validation cases: (\w+)", ended.stdout)[1]
    dices = {kind: mean_dice(plan / f"SAVE/{kind}_CE+dice/val/metrics.csv") for kind in kinds}
    assert dices[best] == max(dices.values())
    assert json.loads((plan / "SAVE/student/experiment.json").read_text())["architecture"] == best
    compared = {row["against"] for row in rows_of(plan / "SAVE/student/val/comparison.csv")}
    assert compared == {"ensemble", f"{best}_CE+dice"}


def mean_dice(path: Path) -> float:
    values = [float(row["dice"]) for row in rows_of(path) if row["dice"]]
    return sum(values) / len(values)


def test_a_changed_script_is_not_overwritten(plan, raw, call):
    original = (plan / "run.sh").read_text()
    (plan / "run.sh").write_text(original + "# mine\n")
    with pytest.raises(InputError, match=r"run.sh: was changed"):
        call("resample_data.py", "-d", raw, "--plan", plan)
    (plan / "run.sh").write_text(original)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--plan", "RAW/PLAN"], "lies in the data set"),
        (["--plan", "PLAN", "-o", "DATA"], "-o: contradicts --plan"),
        (["--plan", "PLAN", "--voxel-size", 1, 1, 1], "--voxel-size: contradicts --plan"),
        (["--plan", "PLAN", "--voxel-size", 1.5, 1.5, 2.5], "--voxel-size: contradicts --plan"),  # the default
    ],
)
def test_options_that_contradict_a_plan_are_refused(call, raw, words, message):
    words = [str(word).replace("PLAN", f"{raw.parent}/PLAN").replace(f"RAW/{raw.parent}", f"{raw}") for word in words]
    with pytest.raises(InputError, match=message):
        call("resample_data.py", "-d", raw, *words)


def test_a_data_set_without_references_is_refused(call, tmp_path):
    write_kidney(tmp_path / "RAW/case_00000", seed=0, with_reference=False)
    with pytest.raises(InputError, match="0 patients have references; at least two are needed"):
        call("resample_data.py", "-d", tmp_path / "RAW", "--plan", tmp_path / "PLAN", "-j", 1)
    assert not (tmp_path / "PLAN").exists()
