"""Trial of a plan on real data: a few cases are resampled into a temporary folder, and each network takes steps."""

import contextlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from base.csv_files import read_table
from base.errors import InputError
from base.label_classes import parse_classes
from data.case_facts import CaseFacts
from data.preparation import prepare_case
from networks import Architecture
from stages.planning.data_set import DataSet
from stages.planning.rules import FEWEST_PATCHES, with_batch
from stages.planning.settings import PlannedNetwork, Settings
from stages.predict import predict_split
from stages.testing_options import NetworkTestOptions
from stages.train import train_network
from stages.training_options import TrainingOptions
from utils.cli.value_types import parse_positive_number
from utils.runtime.peak_memory import forget_peak_memory, peak_memory_mb
from utils.runtime.worker_pool import Died, run_each

STEPS = 20
_TIMED_STEPS = 10  # the last ones; the first steps are slower
_TRAIN_CASES = 2  # more where these do not hold all classes


@dataclass(frozen=True)
class NetworkTrial:
    """Trial of one kind of network.

    Attributes:
        network: with the batch size that fitted into memory.
        seconds_a_step: of the last steps.
        seconds_a_case: of the prediction of the validation case.
        seconds_to_test: of the same case, with its measures.
        peak_memory_mb: largest resident memory of the process in the trial; None where it is unknown.
    """

    network: PlannedNetwork
    seconds_a_step: float
    seconds_a_case: float
    seconds_to_test: float
    peak_memory_mb: float | None


@dataclass(frozen=True)
class Trial:
    """Trial of a plan.

    Attributes:
        seconds_to_resample: for 1,000,000 voxels of a scan, in one process.
        voxels: mean number of voxels of the predicted cases, before resampling.
        networks: trials, in the order of the plan.
    """

    seconds_to_resample: float
    voxels: float
    networks: tuple[NetworkTrial, ...]


def try_settings(data_set: DataSet, settings: Settings) -> Trial:
    """Resample a few cases into a temporary folder, train each network for `STEPS` steps, and predict a case.

    A network that does not fit into memory is tried again with half the batch.

    Raises:
        InputError: the smallest batch does not fit into memory, or a stage refuses the trial.
    """
    with tempfile.TemporaryDirectory(prefix="plan_") as folder:
        data, save = Path(folder) / "DATA", Path(folder) / "SAVE"
        chosen = choose_cases(data_set, settings)
        seconds = [_resample(case, data / split / case.name, settings) for case, split in chosen]
        voxels = sum(_voxels(case) for case, _ in chosen)
        predicted = [_voxels(case) for case, split in chosen if split == "val"]
        trials = _try_all(settings, data, save)
        return Trial(sum(seconds) / voxels * 1e6, float(np.mean(predicted)), tuple(trials))


def choose_cases(data_set: DataSet, settings: Settings) -> list[tuple[CaseFacts, str]]:
    """Return annotated cases of train that hold all classes, and one of val, all near the median size."""
    middle = np.median([_voxels(case) for case in data_set.cases])
    by_size = sorted(data_set.annotated, key=lambda case: abs(np.log(_voxels(case) / middle)))
    train = [case for case in by_size if case.name in set(settings.split["train"])]
    val = [case for case in by_size if case.name in set(settings.split["val"])]
    missing = {int(name) for name in settings.classes.split(",")[1:]}
    chosen = []
    for case in train:
        new = missing & set(case.reference.structures)
        if new or (not missing and len(chosen) < _TRAIN_CASES):
            chosen.append(case)
            missing -= new
    return [*((case, "train") for case in chosen), (val[0], "val")]


def _resample(case: CaseFacts, folder: Path, settings: Settings) -> float:
    """Resample a case as stage 1 does; return the seconds.

    Raises:
        InputError: the case is refused.
    """
    size = tuple(None if word == "none" else parse_positive_number(word) for word in settings.voxel_size)
    began = time.perf_counter()
    outcome = prepare_case(case.source, folder, size)
    if outcome.problem:
        raise InputError(outcome.name, outcome.problem)
    return time.perf_counter() - began


def _try_all(settings: Settings, data: Path, save: Path) -> list[NetworkTrial]:
    """Try the networks, one after the other, in another process: one that does not fit into memory may end it.

    Such a network is tried again with half the batch.
    """
    trials: list[NetworkTrial | None] = [None] * len(settings.networks)
    left = dict(enumerate(settings.networks))
    with tqdm(total=len(left), desc="trying networks", unit="network") as bar:
        while left:
            numbers = list(left)
            tasks = [(settings, left[number], data, save) for number in numbers]
            for place, result in run_each(_try, tasks, 1):
                number = numbers[place]
                if isinstance(result, NetworkTrial):
                    trials[number] = result
                    del left[number]
                    bar.update()
                else:
                    left[number] = _smaller(left[number], result.reason if isinstance(result, Died) else result)
    return trials


def _smaller(network: PlannedNetwork, reason: str) -> PlannedNetwork:
    """Return the network with half the batch, after a trial that failed for a reason.

    Raises:
        InputError: the batch is the smallest already.
    """
    if network.batch_size <= FEWEST_PATCHES:
        problem = f"{FEWEST_PATCHES} patches of {network.sample_size} voxels do not fit into memory ({reason})"
        raise InputError(network.name, problem, "plan on a machine with more memory")
    return with_batch(network, max(FEWEST_PATCHES, network.batch_size // 2))


def _try(settings: Settings, network: PlannedNetwork, data: Path, save: Path) -> NetworkTrial | str:
    """Train a network and predict a case; return the reason instead if it does not fit into memory."""
    options = training_options(settings, network, data, save)
    forget_peak_memory()
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):  # noqa: PTH123
        try:
            train_network(options)
            began = time.perf_counter()
            weights = save / options.experiment / f"FINAL_{options.experiment}_{STEPS}.pth"
            predict_split(NetworkTestOptions(data=data, save=save, evaluate="val", network_weights=(str(weights),)))
            seconds = time.perf_counter() - began
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, MemoryError) or "memory" in str(error):
                return str(error)
            raise
    rates = [float(row["iterations_per_second"]) for row in read_table(save / options.experiment / "log.csv")]
    rows = read_table(save / options.experiment / "val" / "metrics.csv")
    return NetworkTrial(network, 1 / rates[-1], float(rows[0]["seconds"]), seconds, peak_memory_mb())


def training_options(settings: Settings, network: PlannedNetwork, data: Path, save: Path) -> TrainingOptions:
    """Return the options of the trial: those of run.sh, for `STEPS` steps."""
    architecture: Architecture = network.architecture
    return TrainingOptions(
        data=data,
        save=save,
        run=f"{network.name}_{network.batch_size}",
        network=architecture,
        receptive_field_size=network.receptive_field,
        classes=parse_classes(settings.classes),
        features=network.features,
        deep_supervision=network.deep_supervision,
        sample_size=network.sample_size,
        batch_size=network.batch_size,
        planes="auto" if architecture.dimensions == 3 else settings.planes,
        normalization=settings.normalization,
        augmentation="strong",
        flip=settings.flip,
        loss=settings.losses[0],
        iterations=STEPS,
        validate_every=_TIMED_STEPS,
        visdom_port=0,
    ).settled(1)


def _voxels(case: CaseFacts) -> int:
    return int(np.prod(case.shape))
