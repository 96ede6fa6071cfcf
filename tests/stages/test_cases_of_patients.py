"""Patients with several cases, from the records of stage 1 to predictions."""

import json
import shutil

import pytest
import torch

from base.errors import InputError
from tests.material import SMALL

PATIENTS = {"case_00000": "p", "case_00001": "p", "case_00002": "q", "case_00003": "q"}  # the last is in val


@pytest.fixture
def data(kidneys, tmp_path):
    """Return a DATA folder with cases of one patient in both train and val."""
    folder = tmp_path / "DATA"
    shutil.copytree(kidneys, folder)
    for path in folder.glob("*/*/resampling.json"):
        record = json.loads(path.read_text())
        patient = PATIENTS.get(path.parent.name, record["patient"])
        path.write_text(json.dumps({**record, "patient": patient}))
    return folder


def test_all_cases_of_a_training_patient_count_as_training_cases(call, data, tmp_path):
    shared = ["-d", data, "-s", tmp_path / "SAVE"]
    train = ["training_network", *SMALL, *shared, "--classes", "0,1,2", "-i", 1]
    with pytest.raises(InputError, match="--fold: 2 patients cannot fill 3 folds"):
        call(*train, "--fold", "1/3")
    left_out = {}
    for fold in (1, 2):
        output = call(*train, "--fold", f"{fold}/2", "-r", f"fold{fold}")
        path = tmp_path / "SAVE" / f"fold{fold}" / f"FINAL_fold{fold}_1.pth"
        description = torch.load(path, weights_only=True)["description"]
        (patient,) = description["training_patients"]
        assert description["training_cases"] == [n for n in list(PATIENTS)[:3] if PATIENTS[n] == patient]
        assert ("patients with cases in train and in val: 1, such as q" in output) == (patient == "q")
        left_out[patient] = path
    call("ensemble", *shared, "-e", "train", "--classes", "0,1,2", "--cross-fit", "-r", "crossed")
    record = json.loads((tmp_path / "SAVE" / "crossed" / "train" / "predictions.json").read_text())
    assert record["patients"] == {name: PATIENTS[name] for name in list(PATIENTS)[:3]}
    output = call("testing_network", *shared, "-e", "val", "--network-weights", left_out["q"])
    assert f"cases whose patients {left_out['q'].parent.name} was trained on: 1, such as case_00003" in output
    assert "note" not in call("testing_network", *shared, "-e", "val", "--network-weights", left_out["p"])
    left_out["p"].unlink()
    with pytest.raises(InputError, match="case_00002, or on another case of its patient"):
        call("ensemble", *shared, "-e", "train", "--classes", "0,1,2", "--cross-fit", "-r", "again")
