"""Calibration at the end of a validation run, on tables written by hand."""

from base.csv_files import read_table, write_table
from base.label_classes import parse_classes
from base.run_files import METRICS, TRUST
from base.run_record import PredictionSettings, RunRecord
from utils.evaluation.run_results import COLUMNS
from utils.evaluation.trust_report import TrustReport
from utils.evaluation.trust_table import COLUMNS as TRUST_COLUMNS

CASES = ["first frame", "second frame", *(f"case {number}" for number in range(11))]
PATIENTS = {"first frame": "one", "second frame": "one"}


def test_all_scans_of_a_validation_patient_are_predicted_from_the_other_patients(tmp_path):
    dices = {case: "" if case == "second frame" else 0.7 + number / 100 for number, case in enumerate(CASES)}
    measured = [
        {"case": case, "class": "1", "dice": dice, "volume_ml": 1, "reference_volume_ml": 1}
        for case, dice in dices.items()
    ]
    write_table(tmp_path / METRICS, COLUMNS, measured)
    estimates = [{"case": case, "class": "1", "expected_dice": 0.8 + n / 100} for n, case in enumerate(CASES)]
    write_table(tmp_path / TRUST, TRUST_COLUMNS, estimates)
    contents = {case: {"image": case} for case in CASES}
    settings = PredictionSettings(None, 0.5, 4.0, 0, "fp32")
    record = RunRecord({"a": "0"}, parse_classes("0,1"), settings, None, ("1",), 1.0, {}, contents, PATIENTS)
    TrustReport(tmp_path, record, tmp_path / "trust.json", True, set(CASES)).write()
    rows = {row["case"]: row for row in read_table(tmp_path / TRUST)}
    assert rows["first frame"]["bound_patients"] == rows["second frame"]["bound_patients"] == "11"
    assert rows["case 0"]["bound_patients"] == "11"
