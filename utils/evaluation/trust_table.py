"""Table of trust, trust.csv: for each case and region, the predicted Dice, its lower bound, and raw estimates."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from base.csv_files import read_table
from base.errors import InputError
from base.run_files import TRUST
from utils.evaluation.dice_estimates import DiceEstimate

COLUMNS = ("case", "class", "predicted_dice", "predicted_dice_low", "bound_patients", "agreement", "expected_dice")


def rows_of(estimates: Mapping[str, DiceEstimate]) -> list[dict[str, str | float | None]]:
    """Return the rows of a case; predictions are added at the end of the run."""
    return [
        {"class": name, "agreement": one.agreement, "expected_dice": one.expected_dice}
        for name, one in estimates.items()
    ]


@dataclass(frozen=True)
class TrustTable:
    """Rows of trust.csv: values by case and region, None for empty fields."""

    rows: Mapping[tuple[str, str], Mapping[str, float | None]]

    @classmethod
    def read(cls, folder: Path) -> "TrustTable":
        """Read the table of a run; empty if there is none."""
        names = COLUMNS[2:]
        rows = read_table(folder / TRUST)
        try:
            values = {
                (row["case"], row["class"]): {name: float(row[name]) if row[name] else None for name in names}
                for row in rows
            }
        except (KeyError, ValueError):
            raise InputError(folder / TRUST, "is damaged", "predict again with --overwrite") from None
        return cls(values)

    @property
    def regions(self) -> list[str]:
        """Names of the regions, in the order of the table."""
        return list(dict.fromkeys(region for _, region in self.rows))

    @property
    def estimator(self) -> str:
        """Name of the estimate that predictions begin with: the agreement where there is one."""
        has_agreement = any(row["agreement"] is not None for row in self.rows.values())
        return "agreement" if has_agreement else "expected_dice"

    def column(self, region: str, name: str) -> dict[str, float]:
        """Return the values of one column and region that are not empty, by case."""
        found = ((case, row[name]) for (case, other), row in self.rows.items() if other == region)
        return {case: value for case, value in found if value is not None}
