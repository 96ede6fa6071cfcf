"""Inputs of a campaign (its world): phantoms, networks, soft labels, predictions, and results of clean runs."""

import json
import shutil
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.campaign.folders import copy_into
from tests.campaign.running import Limits, Run, Started, run_forked
from tests.campaign.scenarios import SCENARIOS, TRAINING, Scenario
from tests.material import write_kidney

_SPLITS = ("train", "train", "train", "val", "test", "test")


@dataclass(frozen=True)
class World:
    """Inputs of all trials in the folder `base` (RAW, DATA and SAVE), and results of clean runs in `expected`."""

    folder: Path
    forked: bool = False  # kills and pairs use forked processes, too

    @property
    def base(self) -> Path:
        return self.folder / "base"

    def expected(self, scenario: Scenario) -> Path:
        """Return the work folder of a clean run."""
        return self.folder / "expected" / scenario.name

    def moments(self, scenario: str) -> Path:
        """Return the file with the durations of a clean run."""
        return self.folder / f"moments_{scenario}"

    def start(self, words, temporary: Path, folder: Path) -> Started:
        """Start a stage."""
        return Started(words, temporary, folder, self.forked)

    def prepare(self, scenario: Scenario, work: Path) -> None:
        """Copy the inputs of a scenario."""
        for name in scenario.inputs:
            copy_into(self.base / name, work / name)


def make_world(
    folder: Path, scenarios: Iterable[str], data: Path | None = None, save: Path | None = None, forked: bool = False
) -> World:
    """Create the world and perform clean runs of the named scenarios.

    Args:
        data: resampled cases as in DATA; created if not given.
        save: networks `one` and `two` trained on them; trained if not given.
    """
    world = World(folder, forked)
    base = world.base
    for number, split in enumerate(_SPLITS):
        name = f"case_{number:05d}"
        case = write_kidney(base / "RAW" / name, seed=number, with_reference=number != 5)
        if data is None:
            copy_into(case, base / "DATA" / split / name)
    _write_decathlon(base)
    split = {split: [f"case_{n:05d}" for n, own in enumerate(_SPLITS) if own == split] for split in sorted({*_SPLITS})}
    (base / "split.json").write_text(json.dumps(split, indent=1), encoding="utf-8")
    if data is None:
        _run(folder, "resample_data", "-d", base / "DATA", "--voxel-size", 3, 3, 5)
    else:
        copy_into(data, base / "DATA")
    where = ("-d", base / "DATA", "-s", base / "SAVE")
    if save is None:
        for seed, name in enumerate(("one", "two")):
            _run(folder, *TRAINING, *where, "-i", 30, "-x", seed, "-r", name)
    else:
        copy_into(save, base / "SAVE")
    _begin_training(world)
    weights = base / "SAVE" / "one" / "FINAL_one_30.pth"
    _run(folder, "testing_network", *where, "-e", "val", "--network-weights", weights, "-r", "first")
    _run(folder, "ensemble", *where, "-e", "train", "--classes", "0,1,2")
    choose = ("-e", "val", "--network-weights", weights, "-r", "chosen", "--keep-largest", "auto")
    _run(folder, "testing_network", *where, *choose)  # the scenarios that do not copy the choice do not see it
    for name in dict.fromkeys(scenarios):
        scenario = SCENARIOS[name]
        work = world.expected(scenario)
        world.prepare(scenario, work)
        _run(folder, *scenario.command(work))
    return world


def _run(folder: Path, *words) -> Run:
    run = run_forked(words, folder / "tmp", Limits(seconds=300))
    if run.status:
        raise RuntimeError(f"a clean run failed: {' '.join(run.words)}\n{run.stdout}{run.stderr}")
    return run


def _write_decathlon(base: Path) -> None:
    folder = base / "DECATHLON"
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for number in range(2):
        case = base / "RAW" / f"case_{number:05d}"
        for source, target in (("imaging", "imagesTr"), ("segmentation", "labelsTr")):
            shutil.copy2(case / f"{source}.nii.gz", folder / target / f"kidney_{number}.nii.gz")
    description = {
        "name": "kidney",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "kidney", "2": "tumour"},
        "numTraining": 2,
        "training": [
            {"image": f"./imagesTr/kidney_{n}.nii.gz", "label": f"./labelsTr/kidney_{n}.nii.gz"} for n in range(2)
        ],
        "test": [],
    }
    (folder / "dataset.json").write_text(json.dumps(description, indent=1), encoding="utf-8")


def _begin_training(world: World) -> None:
    """Create the experiment `half`, a training that is stopped before its end."""
    temporary = world.folder / "tmp"
    training = world.start(SCENARIOS["resume"].command(world.base), temporary, temporary)
    checkpoint = world.base / "SAVE" / "half" / "LAST.pth"
    while not checkpoint.exists() and training.process.poll() is None:
        time.sleep(0.01)
    training.process.send_signal(signal.SIGTERM)
    run = training.wait()
    if run.status != 143:
        raise RuntimeError(f"a training did not stop before its end: status {run.status}\n{run.stderr}")
