"""Table of the reliability of probabilities, calibration.csv: one row for each case and region, 15 bins in columns."""

from collections.abc import Iterable, Mapping

import numpy as np

from utils.evaluation.calibration import BINS, Reliability

_NUMBERS = range(1, BINS + 1)
COLUMNS = (
    "case",
    "class",
    *(f"{name}_{number}" for name in ("voxels", "probability", "frequency") for number in _NUMBERS),
)


def rows_of(reliabilities: Mapping[str, Reliability]) -> list[dict[str, str | int | float | None]]:
    """Return the rows of a case: in each bin, the number of voxels, their mean probability, and that of the outcome."""
    rows = []
    for name, one in reliabilities.items():
        row: dict[str, str | int | float | None] = {"class": name}
        for number, voxels, probability, outcome in zip(_NUMBERS, one.voxels, one.probabilities, one.outcomes):
            row[f"voxels_{number}"] = int(voxels)
            row[f"probability_{number}"] = float(probability / voxels) if voxels else None
            row[f"frequency_{number}"] = float(outcome / voxels) if voxels else None
        rows.append(row)
    return rows


def pooled(rows: Iterable[Mapping[str, str]]) -> dict[str, Reliability]:
    """Return the reliability over all cases of a table's rows, by region."""
    sums: dict[str, np.ndarray] = {}
    for row in rows:
        voxels, *means = (
            np.array([float(row[f"{name}_{number}"] or 0) for number in _NUMBERS])
            for name in ("voxels", "probability", "frequency")
        )
        sums[row["class"]] = sums.get(row["class"], 0) + np.stack([voxels, *(voxels * mean for mean in means)])
    return {name: Reliability(*some) for name, some in sums.items()}
