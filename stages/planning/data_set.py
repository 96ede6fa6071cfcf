"""Facts about a data set, from those of its cases: distributions, classes, and outliers by name."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from data.case_facts import CaseFacts, Refused, StructureFacts
from data.intensities import shows_air

_FAR_VOXEL = 3  # times the median size of a voxel, or a third of it
_SMALL_FIELD = 0.1  # of the median volume of the field of view
_FAR_RANGE = 10  # times the median range, from the 0.5 to the 99.5 percentile, or a tenth of it
_RARE = 3  # a class in fewer cases than this is rare


@dataclass(frozen=True)
class ClassFacts:
    """A class over all cases. The extent of a component is the longest side of its bounding box.

    Attributes:
        structures: of the cases that hold the class, by name.
    """

    label: int
    structures: dict[str, StructureFacts]

    @property
    def volumes_ml(self) -> np.ndarray:
        return np.array([one.volume_ml for one in self.structures.values()])

    @property
    def components(self) -> np.ndarray:
        return np.array([one.components for one in self.structures.values()])

    @property
    def smallest_mm(self) -> float:
        """Extent of the smallest component of all cases."""
        return min(one.smallest_mm for one in self.structures.values())

    @property
    def largest_mm(self) -> float:
        """Extent of the largest component of all cases."""
        return max(one.largest_mm for one in self.structures.values())

    @property
    def boxes_mm(self) -> np.ndarray:
        """Sides (z, y, x) of each case's largest component, (cases, 3)."""
        return np.array([one.box_mm for one in self.structures.values()])


@dataclass(frozen=True)
class Outlier:
    """What is unusual about some cases: their names, and the number of cases that could be so."""

    what: str
    names: tuple[str, ...]
    of: int


@dataclass(frozen=True)
class DataSet:
    """A data set before stage 1.

    Attributes:
        layout: name of its layout.
        cases: in the order of their names; at least one.
        refused: cases that stage 1 would refuse.
        ignore_label: label of voxels that are not annotated; None if all are.
        guess: the figure that the ignore label rests on, if nobody stated it.
    """

    layout: str
    cases: tuple[CaseFacts, ...]
    refused: tuple[Refused, ...]
    ignore_label: int | None
    guess: str = ""

    @property
    def annotated(self) -> list[CaseFacts]:
        """The cases with a reference."""
        return [case for case in self.cases if case.reference]

    @property
    def patients(self) -> list[str]:
        """Names of the patients, sorted."""
        return sorted({case.source.owner for case in self.cases})

    @property
    def annotated_patients(self) -> list[str]:
        """Names of the patients with a reference, sorted."""
        return sorted({case.source.owner for case in self.annotated})

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(self.cases[0].channels)

    @cached_property
    def spacings_mm(self) -> np.ndarray:
        """Voxel sizes (cases, 3), z, y, x."""
        return np.array([case.spacing_mm for case in self.cases])

    @cached_property
    def shapes(self) -> np.ndarray:
        """Sizes in voxels (cases, 3), z, y, x."""
        return np.array([case.shape for case in self.cases])

    @property
    def sides_mm(self) -> np.ndarray:
        """Fields of view (cases, 3), z, y, x."""
        return self.spacings_mm * self.shapes

    @property
    def orientations(self) -> list[tuple[str, int]]:
        """Orientations of the files, most frequent first, each with its number of cases."""
        return Counter(case.orientation for case in self.cases).most_common()

    @cached_property
    def classes(self) -> list[ClassFacts]:
        """The labels of all references, in order."""
        labels = sorted({label for case in self.annotated for label in case.reference.structures})
        return [
            ClassFacts(label, {case.name: case.reference.structures[label] for case in self.annotated
                               if label in case.reference.structures})
            for label in labels
        ]  # fmt: skip

    @property
    def foreground_boxes_mm(self) -> np.ndarray:
        """Sides (z, y, x) of the box of all foreground, of each case that has some, (cases, 3)."""
        return np.array([case.reference.box_mm for case in self.annotated if case.reference.box_mm])

    def share_with_air(self, channel: str) -> float:
        """Return the share of the cases whose channel shows air in Hounsfield units."""
        return float(np.mean([shows_air(case.channels[channel].lowest) for case in self.cases]))

    def outliers(self) -> list[Outlier]:
        """Return what is unusual, with the names of the cases."""
        found = [*self._outlying_voxels(), *self._outlying_fields(), *self._outlying_intensities()]
        found += [*self._outlying_references(), *self._rare_classes()]
        return [one for one in found if one.names]

    def _outlying_voxels(self) -> list[Outlier]:
        ratios = self.spacings_mm / np.median(self.spacings_mm, axis=0)
        return [
            self._outlier(f"a voxel size of {_FAR_VOXEL} times the median or more", (ratios >= _FAR_VOXEL).any(axis=1)),
            self._outlier("a voxel size of a third of the median or less", (ratios <= 1 / _FAR_VOXEL).any(axis=1)),
        ]

    def _outlying_fields(self) -> list[Outlier]:
        volumes = self.sides_mm.prod(axis=1)
        small = volumes <= _SMALL_FIELD * np.median(volumes)
        return [self._outlier("a field of view of a tenth of the median volume or less", small)]

    def _outlying_intensities(self) -> list[Outlier]:
        found = []
        for channel in self.channels:
            facts = [case.channels[channel] for case in self.cases]
            of = f" in channel {channel}" if channel else ""
            airy = np.array([shows_air(one.lowest) for one in facts])
            if airy.mean() > 0.5:
                found.append(self._outlier(f"no air in Hounsfield units{of}, unlike most", ~airy))
            else:
                found.append(self._outlier(f"values below -200{of}, unlike most", airy))
            widths = np.array([one.high - one.low for one in facts]) / np.median([one.high - one.low for one in facts])
            found.append(
                self._outlier(f"a range of intensities{of} ten times the median's or more", widths >= _FAR_RANGE)
            )
            found.append(
                self._outlier(f"a range of intensities{of} a tenth of the median's or less", widths * _FAR_RANGE <= 1)
            )
        return found

    def _outlying_references(self) -> list[Outlier]:
        references, count = {case.name: case.reference for case in self.annotated}, len(self.annotated)
        empty = [name for name, one in references.items() if not one.structures]
        sides = [name for name, one in references.items() if set(one.touches) & {1, 2}]
        ends = [name for name, one in references.items() if 0 in one.touches]
        return [
            Outlier("a reference without foreground", tuple(empty), count),
            Outlier("foreground that touches a side of the scan", tuple(sides), count),
            Outlier("foreground in the first or last slice", tuple(ends), count),
        ]

    def _rare_classes(self) -> list[Outlier]:
        count = len(self.annotated)
        return [
            Outlier(f"label {one.label}, which fewer than {_RARE} cases have", tuple(one.structures), count)
            for one in self.classes
            if len(one.structures) < _RARE <= count
        ]

    def _outlier(self, what: str, which: Sequence[bool]) -> Outlier:
        names = tuple(case.name for case, outlies in zip(self.cases, which) if outlies)
        return Outlier(what, names, len(self.cases))


def quantiles(values: np.ndarray, show: Callable[[float], str] = "{:.3g}".format) -> list[str]:
    """Return smallest, median and largest of `values` as text."""
    return [show(float(value)) for value in (np.min(values), np.median(values), np.max(values))]


def largest_extent_mm(classes: Sequence[ClassFacts], axes: Sequence[int]) -> float:
    """Return the median extent, along `axes` of (z, y, x), of the class for which it is largest."""
    return max(float(np.median(one.boxes_mm[:, list(axes)].max(axis=1))) for one in classes)
