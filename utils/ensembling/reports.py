"""What is told of an ensemble beside its own measures.

SAVE/<run>/<split>/members.csv        Dice of each member and of the ensemble without it; how far members disagree
                   uncertainty.csv    how well maps of uncertainty tell where the ensemble is wrong
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from base.argmax import argmax
from base.regions import Region
from base.run_files import MEMBERS, RANKINGS
from utils.ensembling.leave_one_out import contributions
from utils.evaluation.case_table import CaseTable
from utils.evaluation.error_ranking import ErrorRanking
from utils.evaluation.run_results import read_metrics, read_record, same_content, summarise_measure
from utils.runtime.processes import ALONE, Processes

RANKING_COLUMNS = ("case", "map", "error_ranking")
RANKING_TITLE = "area under the ROC curve of errors near boundaries"


class EnsembleReports:
    """The two tables of an ensemble's run, on the resampled grid.

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

    def add(
        self,
        case_name: str,
        members: Mapping[str, np.ndarray],
        weights: Mapping[str, float],
        mean: np.ndarray,
        maps: Mapping[str, np.ndarray],
        reference: np.ndarray,
        spacing_mm: tuple[float, ...],
        class_names: Sequence[str],
    ) -> None:
        """Add a case that has a reference.

        Args:
            members, weights, mean, reference, class_names: as for `contributions`.
            maps: of uncertainty, (z, y, x), by name.
            spacing_mm: (z, y, x).
        """
        weights = {name: weights[name] for name in members}
        self._members.add(case_name, contributions(members, weights, mean, reference, class_names))
        ranking = ErrorRanking(argmax(mean), reference, spacing_mm)
        areas = {name: ranking.area(values) for name, values in maps.items()}
        self._rankings.add(case_name, [{"map": name, "error_ranking": area} for name, area in areas.items()])

    def gather(self) -> None:
        """Put the rows of all processes into the two tables: in the first, when all have theirs."""
        self._members.gather()
        self._rankings.gather()

    def print_means(self) -> None:
        """Print how much Dice the ensemble has without each member, and how well the maps rank errors."""
        self._members.print_mean("dice_without", "member", "mean Dice of the ensemble without it")
        self._rankings.print_mean("error_ranking", "map", RANKING_TITLE)


def print_mean_dice(
    folders: Mapping[str, Path], regions: Sequence[Region], contents: Mapping[str, dict[str, str]]
) -> None:
    """Print the mean Dice of the ensemble beside that of each member that testing_network.py measured on this split.

    A region that a member was not measured on is a dash.

    Args:
        folders: of the results of each, by name.
        contents: of the cases that the ensemble is measured on, by name; what was measured on others is left out.
    """
    print(f"\n{'mean Dice':>12} " + " ".join(f"class {region.name:>6}" for region in regions))
    for name, folder in folders.items():
        cases = read_record(folder).get("cases")  # which earlier versions did not record
        alike = cases is None or all(same_content(cases.get(case), contents[case]) for case in contents)
        rows = {case: some for case, some in read_metrics(folder).items() if case in contents} if alike else {}
        summaries = [summarise_measure(rows, region.name, "dice") for region in regions]
        if any(summaries):
            means = (f"{summary.mean:12.4f}" if summary else f"{'-':>12}" for summary in summaries)
            print(f"{'':>12} {' '.join(means)}  {name}")
        else:
            print(f"{'':>12} {'not measured on these cases: run testing_network.py':>12}  {name}")
