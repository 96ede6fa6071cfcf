"""Reports on an ensemble, beside its own measures.

SAVE/<run>/<split>/members.csv        Dice of each member and of the ensemble without it; how far members disagree
                   uncertainty.csv    how well uncertainty maps rank the errors of the ensemble
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from base.argmax import argmax
from base.regions import Region
from base.run_files import MEMBERS, RANKINGS
from base.run_record import RunRecord
from utils.ensembling.leave_one_out import leave_one_out
from utils.evaluation.case_table import CaseTable
from utils.evaluation.error_ranking import RANKING_COLUMNS, RANKING_TITLE, ErrorRanking
from utils.evaluation.run_results import read_metrics, same_content, summarise_measure
from utils.runtime.processes import ALONE, Processes


@dataclass(frozen=True)
class EnsembledCase:
    """A case with a reference, as an ensemble predicted it on the resampled grid (z, y, x).

    Attributes:
        members: probabilities of each member, (classes, z, y, x), by experiment.
        weights: of all members in the mean, by experiment.
        mean: the ensemble's probabilities, float32 (classes, z, y, x).
        maps: uncertainty maps (z, y, x), by name.
        reference: class indices, uint8.
        spacing_mm: (z, y, x).
        class_names: of all classes.
    """

    name: str
    members: Mapping[str, np.ndarray]
    weights: Mapping[str, float]
    mean: np.ndarray
    maps: Mapping[str, np.ndarray]
    reference: np.ndarray
    spacing_mm: tuple[float, ...]
    class_names: Sequence[str]


class EnsembleReports:
    """Two tables of an ensemble's run, on the resampled grid.

    Args:
        member_names: of all members.
        done: names of the cases whose rows, if there are some, still hold.
        processes: among which the cases are shared out; the first must begin before the others do.
    """

    def __init__(self, folder: Path, member_names: Sequence[str], done: Iterable[str], processes: Processes = ALONE):
        done = set(done)
        shares = (f"disagreement {name}" for name in member_names)
        columns = ("case", "member", "class", "dice", "ensemble_dice", "dice_without", *shares)
        self._members = CaseTable(folder / MEMBERS, columns, done, processes)
        self._rankings = CaseTable(folder / RANKINGS, RANKING_COLUMNS, done, processes)

    def add(self, case: EnsembledCase) -> None:
        """Add a case that has a reference."""
        weights = {name: case.weights[name] for name in case.members}
        rows = leave_one_out(case.members, weights, case.mean, case.reference, case.class_names)
        self._members.add(case.name, rows)
        ranking = ErrorRanking(argmax(case.mean), case.reference, case.spacing_mm)
        areas = {name: ranking.area(values) for name, values in case.maps.items()}
        self._rankings.add(case.name, [{"map": name, "error_ranking": area} for name, area in areas.items()])

    def gather(self) -> None:
        """Merge the rows of all processes into the two tables: in the first process, after all have added theirs."""
        self._members.gather()
        self._rankings.gather()

    def print_means(self) -> None:
        """Print the Dice of the ensemble without each member, and how well the maps rank errors."""
        self._members.print_mean("dice_without", "member", "mean Dice of the ensemble without it")
        self._rankings.print_mean("error_ranking", "map", RANKING_TITLE)


def print_mean_dice(
    folders: Mapping[str, Path],
    regions: Sequence[Region],
    contents: Mapping[str, dict[str, str]],
    weights: Mapping[str, str],
) -> None:
    """Print the mean Dice of the ensemble and of each member that testing_network.py measured on this split.

    A dash stands for a region that a member was not measured on.

    Args:
        folders: of the results of each, by name.
        contents: of the cases that the ensemble is measured on, by name; what was measured on others is left out.
        weights: SHA-256 of the weights of each member, by name; what others predicted is left out.
    """
    print(f"\n{'mean Dice':>12} " + " ".join(f"class {region.name:>6}" for region in regions))
    for name, folder in folders.items():
        record = RunRecord.read(folder)
        cases = record.cases if record else None  # which earlier versions did not record
        alike = cases is None or all(same_content(cases.get(case), contents[case]) for case in contents)
        if name in weights and record and record.weights is not None:
            alike = alike and list(record.weights.values()) == [weights[name]]
        rows = {case: some for case, some in read_metrics(folder).items() if case in contents} if alike else {}
        is_complete = rows.keys() == contents.keys()  # else the run was stopped
        summaries = [summarise_measure(rows, region.name, "dice") if is_complete else None for region in regions]
        if any(summaries):
            means = (f"{summary.mean:12.4f}" if summary else f"{'-':>12}" for summary in summaries)
            print(f"{'':>12} {' '.join(means)}  {name}")
        else:
            print(f"{'':>12} {'not measured on these cases: run testing_network.py':>12}  {name}")
