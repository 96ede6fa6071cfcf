"""Stored results of a study: tables of all runs and cases, one folder for each part.

RESULTS/<part>/part.json      settings, machine, date, chosen options
               runs.csv       one row per run and split
               cases.csv      one row per run, split, case and class
               trust.csv      predicted Dice, one row per run, split and case; absent where none was predicted
               choices.csv    options that were tried on validation cases, and the chosen ones
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import mean

from base.csv_files import read_table, rounded, write_table
from base.json_files import read_json, write_json
from benchmarks.machine import describe_machine
from studies.scripts import Network, Scripts
from studies.steps import StepError
from utils.comparison.finished_runs import FinishedRun
from utils.comparison.paired_tests import PRIMARY, Values, with_mean
from utils.evaluation.case_measures import MEASURES

RUN_COLUMNS = ("group", "run", "seed", "split", "cases", "networks", "parameters", "training_cases", "iterations")
RUN_COLUMNS += ("minutes", "mean_dice", "dice_by_class", "asd_mm", "hausdorff95_mm", "ece", "seconds", "peak_memory_mb")
CASE_COLUMNS = ("group", "run", "split", "case", "class", *MEASURES)
TRUST_COLUMNS = ("group", "run", "split", "case", "predicted_dice", "predicted_dice_low", "bound_patients")
TRUST_COLUMNS += ("agreement", "expected_dice")
CHOICE_COLUMNS = ("question", "option", "run", "mean_dice", "chosen")


@dataclass
class Part:
    """Results of one part of a study; runs that differ only in their seeds have the same `group`."""

    runs: list[dict] = field(default_factory=list)
    cases: list[dict] = field(default_factory=list)
    trust: list[dict] = field(default_factory=list)
    choices: list[dict] = field(default_factory=list)
    chosen: dict = field(default_factory=dict)

    def add_networks(
        self, group: str, scripts: Scripts, networks: Sequence[Network], *splits: str, suffix: str = ""
    ) -> None:
        """Add the results of networks on some splits; `suffix` is that of their runs."""
        for network in networks:
            for split in splits:
                training = {"seed": network.seed, "minutes": scripts.minutes(network)}
                training |= {"iterations": scripts.iterations(network), "training_cases": scripts.cases(network)}
                self._add(group, scripts, network.name + suffix, split, training)

    def add_ensemble(self, group: str, scripts: Scripts, name: str, *splits: str) -> None:
        """Add the results of an ensemble on some splits."""
        for split in splits:
            self._add(group, scripts, name, split, {})

    def _add(self, group: str, scripts: Scripts, name: str, split: str, training: Mapping) -> None:
        run, trust = scripts.result(name, split), scripts.trust(name, split)
        key = {"group": group, "run": run.name, "split": split}
        self.runs.append({**key, **training, **_summary(run)})
        for region in run.classes:
            for case in run.rows:
                values = {measure: run.values[region, measure].get(case) for measure in MEASURES}
                self.cases.append({**key, "case": case, "class": region, **values})
        overall = {case: row for (case, region), row in trust.rows.items() if region == run.overall}
        self.trust += [{**key, "case": case, **row} for case, row in overall.items()]

    def choose(self, question: str, options: Mapping[object, str], scripts: Scripts, split: str):
        """Record and return the option whose run has the highest mean Dice on `split`; the first of equal ones."""
        dices = {option: mean_dice(scripts.result(run, split)) for option, run in options.items()}
        best = max(dices, key=dices.get)
        self.chosen[question] = best
        self.choices += [
            {"question": question, "option": str(option), "run": options[option], "mean_dice": dice}
            | {"chosen": "yes" if option == best else "no"}
            for option, dice in dices.items()
        ]
        return best


def mean_dice(run: FinishedRun) -> float:
    """Return the mean over the cases of the mean Dice over the classes."""
    return mean(_known(run, run.overall, PRIMARY))


def _known(run: FinishedRun, region: str, measure: str) -> list[float]:
    return [value for value in run.values[region, measure].values() if value is not None]


def _summary(run: FinishedRun) -> dict:
    known = {measure: _known(run, run.overall, measure) for measure in MEASURES}
    means = {measure: mean(values) if values else None for measure, values in known.items()}
    return {
        "cases": len(run.rows),
        "networks": len(run.networks),
        "parameters": run.parameters,
        "mean_dice": means[PRIMARY],
        "dice_by_class": " ".join(f"{mean(_known(run, region, PRIMARY)):.4f}" for region in run.classes),
        "asd_mm": means["asd_mm"],
        "hausdorff95_mm": means["hausdorff95_mm"],
        "ece": means["ece"],
        "seconds": run.seconds,
        "peak_memory_mb": run.peak_memory_mb,
    }


class Results:
    """Folder with the results of a study."""

    def __init__(self, folder: Path):
        self.folder = folder

    def has(self, name: str, settings: Mapping) -> bool:
        """Return True if a part is stored.

        Raises:
            StepError: it was stored with other settings.
        """
        path = self.folder / name / "part.json"
        if not path.exists():
            return False
        before = read_json(path, {"settings": {str: object}}, "remove it, and run the part again")["settings"]
        for key, value in json.loads(json.dumps(settings)).items():
            if before.get(key) != value:
                raise StepError(f"{path}: was made with {key} {before.get(key)}, not {value}; choose another --results")
        return True

    def keep(self, name: str, settings: Mapping, part: Part) -> None:
        """Write a part, its record last, so that a part with a record is complete."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        write_table(folder / "runs.csv", RUN_COLUMNS, map(rounded, part.runs))
        write_table(folder / "cases.csv", CASE_COLUMNS, map(rounded, part.cases))
        if part.trust:
            write_table(folder / "trust.csv", TRUST_COLUMNS, map(rounded, part.trust))
        if part.choices:
            write_table(folder / "choices.csv", CHOICE_COLUMNS, map(rounded, part.choices))
        record = {"settings": settings, "chosen": part.chosen, "machine": describe_machine()}
        write_json(folder / "part.json", {**record, "finished": date.today().isoformat()})

    def chosen(self, name: str) -> dict:
        """Return the options that a stored part has chosen, by question.

        Raises:
            StepError: the part is not stored.
        """
        path = self.folder / name / "part.json"
        if not path.exists():
            raise StepError(f"{path}: is missing; run part {name} first")
        return read_json(path, {"chosen": {str: object}}, "remove it, and run the part again")["chosen"]

    def read(self, table: str) -> list[dict]:
        """Return the rows of a table, such as ``runs``, of all parts, each with its ``part``."""
        rows = []
        for path in sorted(self.folder.glob(f"*/{table}.csv")):
            rows += [
                {"part": path.parent.name, **row}
                for row in read_table(path, "remove its folder, and run the part again")
            ]
        return rows


def values_of(rows: Iterable[dict], name: str, split: str) -> Values:
    """Return all measures of each case, for each class and their mean, of a run or, averaged over seeds, of a group.

    Args:
        rows: of ``cases.csv``.
    """
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in rows:
        if name in (row["group"], row["run"]) and row["split"] == split:
            for measure in MEASURES:
                known = found.setdefault((row["class"], measure), {}).setdefault(row["case"], [])
                if row[measure]:
                    known.append(float(row[measure]))
    means = {key: {case: mean(some) if some else None for case, some in cases.items()} for key, cases in found.items()}
    return with_mean(means, list(dict.fromkeys(region for region, _ in means)))
