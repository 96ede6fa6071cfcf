"""Hours of each stage on this machine, from the trial."""

from dataclasses import dataclass

import numpy as np

from stages.planning.data_set import DataSet
from stages.planning.settings import Settings
from stages.planning.trial import Trial


@dataclass(frozen=True)
class StageHours:
    """A stage of run.sh, and its hours."""

    stage: str
    hours: float


def hours_of(data_set: DataSet, settings: Settings, trial: Trial, jobs: int) -> list[StageHours]:
    """Return the hours of each stage; the student counts as the slowest kind, as its kind is not known yet.

    Args:
        jobs: number of processes of stage 1.
    """
    voxels = {case.name: float(np.prod(case.shape)) for case in data_set.cases}
    cases = {split: sum(voxels[name] for name in names) / trial.voxels for split, names in settings.split.items()}
    members = len(settings.losses)
    resampling = sum(voxels[name] for names in settings.split.values() for name in names) / 1e6
    trainings = {one.network.name: one.network.iterations * one.seconds_a_step for one in trial.networks}
    testing = sum(one.seconds_to_test for one in trial.networks)
    averaging = members * settings.views * sum(one.seconds_a_case for one in trial.networks)
    slowest = max(one.seconds_to_test for one in trial.networks)
    seconds = {
        "1. resample all cases": resampling * trial.seconds_to_resample / jobs,
        **{f"2. train {members} {name}": members * value for name, value in trainings.items()},
        "3. predict val with each member": members * cases["val"] * testing,
        "4. label train with the ensemble, predict val": (cases["train"] + cases["val"]) * averaging,
        "5. train the student": max(trainings.values()),
    }
    last = "test" if settings.split["test"] else "val"
    seconds[f"6. predict {last} with ensemble, network alone and student"] = cases[last] * (averaging + 2 * slowest)
    return [StageHours(stage, value / 3600) for stage, value in seconds.items()]
