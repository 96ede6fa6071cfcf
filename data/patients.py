"""The patient of each case: given by a file, by the layout of the data set, or by an earlier record of stage 1."""

import csv
import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from base.errors import InputError
from base.json_files import check_shape, read_json
from base.text_files import read_text
from data.case_folder import recorded_patient
from data.layouts import SourceCase

_PROBLEM = "is not a table of cases and patients"
_REMEDY = 'write a line "case,patient" for each case, or JSON {"case": "patient"}'


def read_patients(path: Path, names: Iterable[str]) -> dict[str, str]:
    """Read the patient of each case from a CSV file of two columns (with or without a header) or a JSON object.

    Raises:
        InputError: the file is unreadable, gives a case two patients, or names a case that is not in `names`.
    """
    if not path.is_file():
        raise InputError(path, "there is no such file", "check --patients")
    if path.suffix.lower() == ".json":
        shape = {str: (int, _check_patient)}
        pairs = [(case, str(patient)) for case, patient in read_json(path, shape, _REMEDY, _PROBLEM).items()]
    else:
        try:
            pairs = _pairs_of_csv(read_text(path))
        except (ValueError, csv.Error) as error:
            raise InputError(path, f"{_PROBLEM} ({error})", _REMEDY) from None
    known, patients = set(names), {}
    if pairs and pairs[0][0] not in known and pairs[0][0].lower() in ("case", "cases", "name", "case_id"):
        pairs = pairs[1:]
    for case, patient in pairs:
        if case not in known:
            raise InputError(path, f"names case {case}, which is not in the data", "check the name")
        if patients.setdefault(case, patient) != patient:
            raise InputError(path, f"gives case {case} two patients", "keep one of them")
    if not patients:
        raise InputError(path, "names no case", _REMEDY)
    return patients


def _check_patient(value) -> None:
    check_shape(value, str)
    if not value:
        raise ValueError("a patient has no name")


def _pairs_of_csv(text: str) -> list[tuple[str, str]]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    pairs = []
    for number, row in enumerate(rows, start=1):
        fields = [field.strip() for field in row]
        if not any(fields):
            continue
        if len(fields) != 2 or not all(fields):
            raise ValueError(f"line {number} does not consist of a case and a patient")
        pairs.append((fields[0], fields[1]))
    return pairs


def with_patients(sources: Iterable[SourceCase], folders: Iterable[Path], told: dict[str, str]) -> list[SourceCase]:
    """Return `sources` with their patients, from a file (`told`), else the layout, else the record of stage 1."""
    return [
        replace(source, patient=told.get(source.name) or source.patient or recorded_patient(folder))
        for source, folder in zip(sources, folders)
    ]
