"""Trials with damaged files between stages: weights, checkpoints, soft labels, volumes, cache."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.campaign.checks import problems_of
from tests.campaign.comparing import differences
from tests.campaign.crafted_weights import craft
from tests.campaign.damage import damage
from tests.campaign.folders import changes, snapshot, stray_files
from tests.campaign.running import run_forked
from tests.campaign.scenarios import SCENARIOS, Scenario
from tests.campaign.trials import Kind, Outcome
from tests.campaign.world import World

_CRAFTED_SHARE = 0.4  # of the damaged weights and checkpoints
_SWAPPED_SHARE = 0.1
_KEPT_TIME_SHARE = 0.5
_IGNORED = ("weights", "sha256", "initial_weights", "clips")  # keys of records that change with damaged files
_RESULTS = {"test_val": "tested", "average_val": "ensemble_c0-1-2", "init": "new", "resume": "half", "clip": "clipped"}


@dataclass(frozen=True)
class _Target:
    """Files to damage: files of a scenario's work folder that match a pattern."""

    scenario: str
    pattern: str
    crafted: bool = False
    must_succeed: bool = False


_TARGETS = {
    "weights": (
        _Target("test_val", "SAVE/one/FINAL*", crafted=True),
        _Target("average_val", "SAVE/*/FINAL*", crafted=True),
        _Target("init", "SAVE/one/FINAL*", crafted=True),
    ),
    "checkpoints": (_Target("resume", "SAVE/half/LAST.pth", crafted=True),),
    "soft": (_Target("student_short", "SAVE/soft_labels/*/train/*/*.nii.gz"),),
    "originals": (
        _Target("test_val", "DATA/val/*/imaging.nii.gz"),
        _Target("test_val", "DATA/val/*/segmentation.nii.gz"),
        _Target("average_val", "DATA/val/*/segmentation.nii.gz"),
    ),
    "resampled": (
        _Target("train_short", "DATA/*/*/*_rs.nii.gz"),
        _Target("test_val", "DATA/val/*/*_rs.nii.gz"),
        _Target("average_val", "DATA/val/*/*_rs.nii.gz"),
    ),
    "clip": (_Target("clip", "SAVE/first/val/*_prediction.nii.gz"),),
    "cache": (_Target("train_cached", "SAVE/cache/*/*", must_succeed=True),),
}
_TRIALS = {
    "weights": 200, "checkpoints": 200, "soft": 200, "originals": 100, "resampled": 100, "clip": 60, "cache": 200,
}  # fmt: skip


def _perform(kind: str, world: World, number: int, rng: np.random.Generator, folder: Path) -> Outcome:
    targets = _TARGETS[kind]
    target = targets[number % len(targets)]
    scenario = SCENARIOS[target.scenario]
    work, bait = folder / "work", folder / "bait"
    world.prepare(scenario, work)
    bait.mkdir()
    (bait / "bait.txt").write_text("bait")
    files = sorted(work.glob(target.pattern))
    path = files[rng.integers(len(files))]
    description, plausible = _harm(path, files, target, rng, bait)
    description = f"{path.relative_to(work)}: {description}; read by {scenario.name}"

    outside = (work / scenario.output, folder / "tmp")
    before = snapshot(folder, outside)
    kept = {name: value for name, value in snapshot(work / "SAVE").items() if name.startswith(("one", "two", "soft"))}
    run = run_forked(scenario.command(work), folder / "tmp")
    named = (path.name, path.parent.name, str(path.parent.parent.name))[: 2 if kind == "soft" else 1]
    problems = problems_of(run, statuses=(0,) if target.must_succeed else (0, 2), named=named)
    if run.status == 0 and not plausible:
        problems += _result_differences(world, scenario, work)
    problems += [f"outside SAVE: {word}" for word in changes(before, snapshot(folder, outside))]
    after = snapshot(work / "SAVE")
    problems += [
        f"{name} was changed or removed"
        for name, value in kept.items()
        if value[0] >> 12 == 8 and after.get(name) != value
    ]
    return Outcome(description, problems + stray_files(work))


def _harm(path: Path, files: list[Path], target: _Target, rng: np.random.Generator, bait: Path) -> tuple[str, bool]:
    """Damage or replace a file; return a description, and True if it may be intact with other content."""
    status = path.stat()
    if target.crafted and rng.random() < _CRAFTED_SHARE:
        return craft(path, rng, bait)
    others = [file for file in files if file.name != path.name or file.parent != path.parent]
    if others and rng.random() < _SWAPPED_SHARE:
        other = others[rng.integers(len(others))]
        content, description = other.read_bytes(), f"swapped for {other.parent.name}/{other.name}"
    else:
        content, description = damage(path.read_bytes(), rng)
    path.write_bytes(content)
    if rng.random() < _KEPT_TIME_SHARE:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        description += ", time kept"
    return description, False


def _result_differences(world: World, scenario: Scenario, work: Path) -> list[str]:
    """Compare the results of a command: the weights of a training, the folder of a run, or the soft labels."""
    expected = world.expected(scenario)
    name = _RESULTS.get(scenario.name, "student" if "student" in scenario.name else "new")
    finals = [path.relative_to(expected) for path in (expected / "SAVE" / name).glob("FINAL*")]
    if finals:
        return differences(expected, work, [str(path) for path in finals], _IGNORED)
    parts = [f"SAVE/{name}"]
    if scenario.name == "average_val":
        parts.append("SAVE/soft_labels")
    return differences(expected, work, parts, _IGNORED)


def _kind(name: str) -> Kind:
    scenarios = tuple(dict.fromkeys(target.scenario for target in _TARGETS[name]))
    return Kind(name, _TRIALS[name], scenarios, _Perform(name))


@dataclass(frozen=True)
class _Perform:
    """Performs a trial of one of these kinds."""

    kind: str

    def __call__(self, world: World, number: int, rng: np.random.Generator, folder: Path) -> Outcome:
        return _perform(self.kind, world, number, rng, folder)


STORED = tuple(_kind(name) for name in _TARGETS)
