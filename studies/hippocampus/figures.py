"""The kept results of the study, as its targets and tables ask for them: by groups of runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from statistics import mean

from studies.results import Results, values_of
from utils.comparison.paired_tests import MEAN, PRIMARY, Values


@dataclass(frozen=True)
class Distillation:
    """A group of students, that of its ensemble, and that of the same network without soft labels.

    Attributes:
        bar: of the p value with which the student is to be better than the network alone.
    """

    student: str
    ensemble: str
    alone: str
    bar: float = 0.05

    def is_in(self, groups: Sequence[str]) -> bool:
        """Whether all three are."""
        return {self.student, self.ensemble, self.alone} <= set(groups)


GROUPS = ("single", "uniform member", "uniform ensemble", "uniform student", "uniform half-width student")
GROUPS += ("uniform student, default loss",)
GROUPS += ("diverse member", "diverse ensemble")
GROUPS += ("dil2D alone, fp32", "diverse student", "half-width student", "quarter-width student", "UNet3D student")
GROUPS += ("small UNet3D", "small UNet3D student", "small UNet3D student, KL+dice")
GROUPS += ("few references alone", "ensemble of few references", "student of few references")
GROUPS += ("student of few references, KL+dice",)
GROUPS += ("few references alone, fp32", "few diverse member", "few diverse ensemble", "few diverse student")
ENSEMBLES = ("uniform", "diverse", "few diverse")
DISTILLATIONS = (
    Distillation("uniform student", "uniform ensemble", "single"),
    Distillation("diverse student", "diverse ensemble", "dil2D alone, fp32"),
    Distillation("small UNet3D student", "diverse ensemble", "small UNet3D"),
    Distillation("small UNet3D student, KL+dice", "diverse ensemble", "small UNet3D"),
    Distillation("student of few references", "ensemble of few references", "few references alone", 0.01),
    Distillation("student of few references, KL+dice", "ensemble of few references", "few references alone", 0.01),
    Distillation("few diverse student", "few diverse ensemble", "few references alone, fp32", 0.01),
)
# Students with a Dice loss for soft labels, and those without that are otherwise alike.
WITH_AND_WITHOUT_DICE = (
    ("small UNet3D student, KL+dice", "small UNet3D student"),
    ("student of few references, KL+dice", "student of few references"),
)
STUDENTS = (*(distillation.student for distillation in DISTILLATIONS), "UNet3D student")


class Figures:
    """The kept results, as the targets ask for them."""

    def __init__(self, results: Results):
        self.runs = results.read("runs")
        self.choices = results.read("choices")
        self._cases = results.read("cases")
        known = {row["group"] for row in self.runs if row["split"] == "test"}
        self.groups = [group for group in GROUPS if group in known]

    def values(self, name: str, split: str = "test") -> Values:
        """Of a group of runs, or of one run."""
        return values_of(self._cases, name, split)

    def mean(self, name: str, measure: str = PRIMARY, split: str = "test", region: str = MEAN) -> float:
        """Over the cases that have it; NaN where none has."""
        values = [value for value in self.values(name, split)[region, measure].values() if value is not None]
        return mean(values) if values else nan

    def of_runs(self, group: str, column: str, split: str = "test") -> list[float]:
        """A column of `runs.csv` for each run of a group; nothing where it is empty."""
        found = [row[column] for row in self.runs if (row["group"], row["split"]) == (group, split)]
        return [float(value) for value in found if value]

    def speedup(self, distillation: Distillation) -> float:
        """The ensemble's time per case over the student's."""
        (ensemble,) = self.of_runs(distillation.ensemble, "seconds")
        return ensemble / mean(self.of_runs(distillation.student, "seconds"))
