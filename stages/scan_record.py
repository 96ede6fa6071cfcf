"""The record of scans that predict.py wrote into a folder: predictions.json, and the tables made of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from base.csv_files import rounded, write_table
from base.errors import InputError
from base.json_files import read_json, write_json
from base.label_classes import LabelClasses, check_classes
from base.names import check_name
from base.own_folders import refuse_foreign
from base.run_files import TRUST

RECORD, VOLUMES = "predictions.json", "volumes.csv"
_FORMAT = "ensemble-distillation predictions of scans 1"
_REMEDY = "name another folder with -o, or remove it: all scans are predicted again"


def _check_scans(value) -> None:
    for name in value if isinstance(value, dict) else ():
        check_name(name)


_ENTRY = {
    "input": str,
    "sha256": str,
    "made_with": {"weights": {str: str}, "within": {str: str}, "classes": check_classes, "options": {str: object}},
    "versions": {str: str},
    "seconds": float,
    "warnings": [str],
    "volumes_ml": {str: float},
    "predicted_dice": {str: {"dice": float, "low": (None, float), "patients": int}},
}
_SHAPE = {"format": str, "scans": {str: _ENTRY}}


@dataclass(frozen=True)
class ScanEntry:
    """What is recorded of a predicted scan.

    Attributes:
        input: path that it was read from.
        sha256: of its files' content.
        made_with: networks, classes and options that determine the prediction (plain values).
        versions: of this program and of what computed the prediction.
        seconds: from reading the scan to the written label map, without what was read while another was predicted.
        warnings: how the scan differs from those that the networks were trained on.
        volumes_ml: volume of each foreground class in ml, by its title or name.
        predicted_dice: of each foreground class, with its lower bound and the number of validation patients.
    """

    input: str
    sha256: str
    made_with: Mapping
    versions: Mapping[str, str]
    seconds: float
    warnings: list[str]
    volumes_ml: Mapping[str, float]
    predicted_dice: Mapping[str, Mapping]

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes are called, background included."""
        return LabelClasses.from_json(self.made_with["classes"]).shown


class ScanRecord:
    """Entries of the scans in a folder; both files are written anew with each change.

    Attributes:
        scans: entries by name of the scan.
    """

    def __init__(self, folder: Path, scans: dict[str, ScanEntry]):
        self._folder = folder
        self.scans = scans

    @staticmethod
    def refuse_other_folder(folder: Path) -> None:
        """Raise InputError if `folder` is not empty and holds no results of predict.py."""
        refuse_foreign(folder, RECORD, "-o")
        if (folder / RECORD).exists():
            ScanRecord.read(folder)

    @classmethod
    def read(cls, folder: Path) -> "ScanRecord":
        """Read the record of a folder; an empty one if there is none.

        Raises:
            InputError: the record is damaged, or is of a split (testing_network.py, ensemble.py).
        """
        path = folder / RECORD
        try:
            value = read_json(path, {"format?": str}, _REMEDY)
        except FileNotFoundError:
            return cls(folder, {})
        if value.get("format") != _FORMAT:
            raise InputError(
                folder, "holds predictions of a split, or of another version", "name another folder with -o"
            )
        value = read_json(path, _SHAPE, _REMEDY)
        try:
            _check_scans(value["scans"])
        except ValueError as error:
            raise InputError(path, f"is damaged ({error})", _REMEDY) from None
        return cls(
            folder, {name: ScanEntry(**{key: one[key] for key in _ENTRY}) for name, one in value["scans"].items()}
        )

    def begin(self) -> None:
        """Make the folder one of predict.py before the first file of a scan is written into it."""
        if not (self._folder / RECORD).exists():
            self._write()

    def add(self, name: str, entry: ScanEntry) -> None:
        """Add a predicted scan."""
        self.scans[name] = entry
        self._write()

    def remove(self, name: str) -> None:
        """Remove the entry of a scan, before it is predicted again."""
        del self.scans[name]
        self._write()

    def _write(self) -> None:
        """Write the table first: the record never vouches for rows that are not there."""
        scans = dict(sorted(self.scans.items()))
        titles = dict.fromkeys(title for entry in scans.values() for title in entry.volumes_ml)
        rows = [
            rounded({"scan": name, **{_column(t): v for t, v in e.volumes_ml.items()}}) for name, e in scans.items()
        ]
        write_table(self._folder / VOLUMES, ["scan", *map(_column, titles)], rows)
        self._write_trust(scans)
        value = {"format": _FORMAT, "scans": {name: asdict(entry) for name, entry in scans.items()}}
        write_json(self._folder / RECORD, value)

    def _write_trust(self, scans: Mapping[str, ScanEntry]) -> None:
        """Write trust.csv, as stages 3 and 4 do; none where no Dice is predicted."""
        rows = [
            rounded(
                {
                    "case": name,
                    "class": title,
                    "predicted_dice": one["dice"],
                    "predicted_dice_low": one["low"],
                    "bound_patients": None if one["low"] is None else one["patients"],
                }
            )
            for name, entry in scans.items()
            for title, one in entry.predicted_dice.items()
        ]
        if rows:
            write_table(self._folder / TRUST, list(rows[0]), rows)
        else:
            (self._folder / TRUST).unlink(missing_ok=True)


def _column(title: str) -> str:
    return f"{title}_ml"
