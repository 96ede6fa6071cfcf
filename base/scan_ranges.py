"""Voxel sizes and fields of view of the training scans, and the check of a scan against them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Range = tuple[float, float]

_LARGEST_RATIO = 2.0  # between a scan's size and the training scans', above which the scan is unlike them
_AXES = "zyx"


@dataclass(frozen=True)
class ScanRange:
    """Least and greatest sizes of the training scans, on their own grids, along each axis (z, y, x).

    Attributes:
        spacing_mm: of a voxel.
        extent_mm: of the field of view.
    """

    spacing_mm: tuple[Range, Range, Range]
    extent_mm: tuple[Range, Range, Range]

    @classmethod
    def of(cls, grids: Iterable[tuple[Sequence[float], Sequence[int]]]) -> "ScanRange":
        """Return the range of scans, given as spacing in mm and shape, both (z, y, x)."""
        spacings, extents = [], []
        for spacing_mm, shape in grids:
            spacings.append(spacing_mm)
            extents.append([mm * count for mm, count in zip(spacing_mm, shape)])
        return cls(*(tuple((min(axis), max(axis)) for axis in zip(*some)) for some in (spacings, extents)))

    def warnings(self, spacing_mm: Sequence[float], shape: Sequence[int]) -> list[str]:
        """Return warnings for a scan whose voxels or field of view are less than half, or more than twice, as large."""
        extent_mm = [mm * count for mm, count in zip(spacing_mm, shape)]
        found = []
        for what, sizes, known in (
            ("voxels are", spacing_mm, self.spacing_mm),
            ("the field of view is", extent_mm, self.extent_mm),
        ):
            for axis, size, (least, greatest) in zip(_AXES, sizes, known):
                if not least / _LARGEST_RATIO <= size <= greatest * _LARGEST_RATIO:
                    found.append(
                        f"{what} {size:.4g} mm along {axis}, in training scans {least:.4g} to {greatest:.4g} mm: the"
                        " network was not trained for it"
                    )
        return found

    def to_json(self) -> dict:
        """Return the range as plain values."""
        return {"spacing_mm": [list(one) for one in self.spacing_mm], "extent_mm": [list(o) for o in self.extent_mm]}

    @classmethod
    def from_json(cls, value: dict) -> "ScanRange":
        """Read what `to_json` gives."""
        return cls(*(tuple(map(tuple, value[key])) for key in ("spacing_mm", "extent_mm")))
