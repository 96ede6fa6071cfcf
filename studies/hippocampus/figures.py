"""Access to the stored results of the study by groups of runs, for targets and tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from statistics import mean

from base.label_classes import MEAN
from studies.results import Results, values_of
from utils.comparison.paired_tests import PRIMARY, Values


@dataclass(frozen=True)
class Distillation:
    """A group of students, the group of its ensemble, and that of the same network without soft labels.

    Attributes:
        bar: bound of the p value for the claim that the student is better than the network alone.
    """

    student: str
    ensemble: str
    alone: str
    bar: float = 0.05

    def is_in(self, groups: Sequence[str]) -> bool:
        """Return True if all three groups are among `groups`."""
        return {self.student, self.ensemble, self.alone} <= set(groups)


GROUPS = ("single", "uniform member", "uniform ensemble", "uniform student", "uniform half-width student")
GROUPS += ("uniform student, default loss",)
GROUPS += ("diverse member", "diverse ensemble")
GROUPS += ("dil2D alone, fp32", "diverse student", "half-width student", "quarter-width student", "UNet3D student")
GROUPS += ("half-width dil2D alone", "quarter-width dil2D alone")
GROUPS += ("small UNet3D", "small UNet3D student", "small UNet3D student, KL+dice")
GROUPS += ("few references alone", "ensemble of few references", "student of few references")
GROUPS += ("student of few references, KL+dice",)
GROUPS += ("few references alone, fp32", "few diverse member", "few diverse ensemble", "few diverse student")
GROUPS += ("ten references alone", "ten references member", "ensemble of ten references", "student of ten references")
GROUPS += ("ten references alone, dil2D", "student of ten references, dil2D")
GROUPS += ("ten references alone, dil2D, axial", "student of ten references, dil2D, axial")
ORDERED, AT_RANDOM = "thirty references, ordered", "thirty references, at random"
GROUPS += (ORDERED, AT_RANDOM)
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
# Pairs of students that differ only in the Dice loss for soft labels.
WITH_AND_WITHOUT_DICE = (
    ("small UNet3D student, KL+dice", "small UNet3D student"),
    ("student of few references, KL+dice", "student of few references"),
)
STUDENTS = (*(distillation.student for distillation in DISTILLATIONS), "UNet3D student")


class Figures:
    """Stored results by groups of runs."""

    def __init__(self, results: Results):
        self.runs = results.read("runs")
        self.choices = results.read("choices")
        self._cases = results.read("cases")
        known = {row["group"] for row in self.runs if row["split"] == "test"}
        self.groups = [group for group in GROUPS if group in known]

    def values(self, name: str, split: str = "test") -> Values:
        """Return the values of a group of runs, or of one run."""
        return values_of(self._cases, name, split)

    def mean(self, name: str, measure: str = PRIMARY, split: str = "test", region: str = MEAN) -> float:
        """Return the mean over the cases with a value; NaN without any."""
        values = [value for value in self.values(name, split)[region, measure].values() if value is not None]
        return mean(values) if values else nan

    def of_runs(self, group: str, column: str, split: str = "test") -> list[float]:
        """Return a column of `runs.csv` for the runs of a group, without empty fields."""
        found = [row[column] for row in self.runs if (row["group"], row["split"]) == (group, split)]
        return [float(value) for value in found if value]

    def speedup(self, distillation: Distillation) -> float:
        """Return the ensemble's time per case divided by the student's."""
        (ensemble,) = self.of_runs(distillation.ensemble, "seconds")
        return ensemble / mean(self.of_runs(distillation.student, "seconds"))
