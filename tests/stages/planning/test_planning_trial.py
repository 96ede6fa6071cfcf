"""Trial of a plan: batches that do not fit into memory, cases that hold all classes, and the hours that follow."""

from dataclasses import replace
from pathlib import Path

import pytest

from base.errors import InputError
from data.case_facts import CaseFacts, IntensityFacts, ReferenceFacts, StructureFacts
from data.layouts import SourceCase
from networks import find_architecture
from stages.planning import trial
from stages.planning.data_set import DataSet
from stages.planning.hours import hours_of
from stages.planning.settings import PlannedNetwork, Settings
from stages.planning.trial import NetworkTrial, Trial, choose_cases
from utils.runtime.worker_pool import Died

UNET = PlannedNetwork(find_architecture("UNet2D"), None, 64, 8, 6000)
SETTINGS = Settings("0,1,2", None, ("1", "1", "1"), "all", (UNET,), ("CE+dice", "dice"), "zscore", True, {}, ())


def case(name: str, side: int, *labels: int) -> CaseFacts:
    structures = {label: StructureFacts(1, 1.0, 1, 1.0, 1.0, (1.0, 1.0, 1.0)) for label in labels}
    reference = ReferenceFacts(structures, 1, 1.0, (1.0, 1.0, 1.0), ()) if labels else None
    source = SourceCase(name, Path(name), None)
    return CaseFacts(source, "LPS", (side,) * 3, (1.0,) * 3, {"": IntensityFacts(0, 0, 1, 2)}, reference)


def settings(**split: list[str]) -> Settings:
    return replace(SETTINGS, split={"test": [], **split})


def attempts(monkeypatch, *results):
    """Let trials end with these results, one after the other; return the batch sizes that were tried."""
    tried, left = [], iter(results)

    def run_each(function, tasks, jobs):
        for number, (_, network, _, _) in enumerate(tasks):
            tried.append(network.batch_size)
            result = next(left)
            yield number, result(network) if callable(result) else result

    monkeypatch.setattr(trial, "run_each", run_each)
    return tried


def fits(network: PlannedNetwork) -> NetworkTrial:
    return NetworkTrial(network, 1.0, 2.0, 3.0, None)


def test_a_batch_that_does_not_fit_into_memory_is_halved(monkeypatch, tmp_path):
    tried = attempts(monkeypatch, Died("its process was killed"), "out of memory", fits)
    [found] = trial._try_all(SETTINGS, tmp_path, tmp_path)
    assert tried == [8, 4, 2]
    assert (found.network.batch_size, found.network.iterations) == (2, 12000)  # 400 million voxels, but 12,000 steps


def test_a_network_whose_smallest_batch_does_not_fit_is_named(monkeypatch, tmp_path):
    attempts(monkeypatch, *["out of memory"] * 3)
    with pytest.raises(InputError, match="UNet2D: 2 patches of 64 voxels do not fit into memory"):
        trial._try_all(SETTINGS, tmp_path, tmp_path)


def test_cases_near_the_median_size_that_hold_all_classes_are_tried():
    cases = (
        case("a", 10, 1),
        case("b", 11, 1),
        case("c", 30, 1, 2),
        case("d", 10, 1),
        case("e", 50, 1, 2),
        case("f", 10),
    )
    chosen = choose_cases(DataSet("pairs", cases, (), None), settings(train=["a", "b", "c", "e", "f"], val=["d"]))
    assert [(one.name, split) for one, split in chosen] == [
        ("b", "train"),
        ("c", "train"),
        ("d", "val"),
    ]  # median 1165 voxels


def test_hours_are_seconds_times_steps_and_cases():
    """Two members, 6,000 steps of 1 s; predictions of 2 s, with measures 3 s; four views of an ensemble."""
    data = DataSet("pairs", tuple(case(name, 10, 1) for name in "abcd"), (), None)
    tried = Trial(seconds_to_resample=1000.0, voxels=1000.0, networks=(fits(UNET),))
    plan = settings(train=["a", "b"], val=["c"], test=["d"])
    seconds = [one.hours * 3600 for one in hours_of(data, plan, tried, jobs=2)]
    assert seconds == pytest.approx([2, 12000, 2 * 3, 3 * 2 * 4 * 2, 6000, 2 * 4 * 2 + 2 * 3])
