"""Weights and runs written by an earlier version can be read; `tests/earlier_version` holds a few.

They are two networks with two features, `single` and `other`, their ensemble, and its student, all on phantoms.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from base.run_record import RunRecord
from data.soft_labels import SoftLabels
from networks.description import NetworkDescription
from networks.weights import load_weights, save_weights
from utils.comparison.finished_runs import FinishedRun
from utils.training.experiment import Experiment

EARLIER = Path(__file__).with_name("earlier_version")
RUNS = ("single", "other", "ensemble", "student")


@pytest.mark.parametrize(("name", "channels"), [("other", 3), ("student", 4)])
def test_weights_are_loaded_and_written_again_unchanged(tmp_path, name, channels):
    path = EARLIER / name / f"FINAL_{name}_4.pth"
    stored = torch.load(path, weights_only=True)
    trained = load_weights(path)
    assert trained.description.to_json() == stored["description"]
    network = trained.build()
    assert network(torch.zeros(1, 1, 19, 19, 19)).shape == (1, channels, 1, 1, 1)
    save_weights(tmp_path / "again.pth", network, trained.description)
    again = torch.load(tmp_path / "again.pth", weights_only=True)
    assert {**again, "state": None} == {**stored, "state": None}
    assert all(torch.equal(again["state"][key], values) for key, values in stored["state"].items())


def test_the_description_holds_what_the_network_was_trained_on():
    other, student = (load_weights(EARLIER / name / f"FINAL_{name}_4.pth").description for name in ("other", "student"))
    assert not other.is_student
    assert list(other.initial_weights) == ["single"]
    assert student.is_student
    assert student.temperature == 1
    assert sorted(student.soft_labels["weights"]) == ["other", "single"]
    assert student.predicts_uncertainty
    (case, *_) = student.training_cases
    assert student.was_trained_on(case, "")
    assert not student.was_trained_on("case_99", "case_99")


@pytest.mark.parametrize("name", RUNS)
def test_the_record_of_a_run_is_read_and_written_again_byte_for_byte(tmp_path, name):
    record = RunRecord.read(EARLIER / name / "val")
    record.write(tmp_path)
    written = (EARLIER / name / "val" / "predictions.json").read_bytes()
    assert (tmp_path / "predictions.json").read_bytes() == written
    assert record.differences(record) == []
    assert (record.ensemble is not None) == (name == "ensemble")


def test_a_run_can_be_compared():
    runs = {name: FinishedRun.read(EARLIER, name, "val") for name in RUNS}
    assert [name for name, run in runs.items() if run.is_ensemble] == ["ensemble"]
    assert [name for name, run in runs.items() if run.is_student] == ["student"]
    assert runs["ensemble"].parameters == 2 * runs["single"].parameters
    assert np.isfinite([value for value in runs["student"].values["mean", "dice"].values()]).all()


def test_an_experiment_can_be_resumed(tmp_path):
    """The record that a training writes now equals the one written then."""
    shutil.copytree(EARLIER / "student", tmp_path / "student")
    record = json.loads((EARLIER / "student" / "experiment.json").read_text())
    stored = torch.load(EARLIER / "student" / "FINAL_student_4.pth", weights_only=True)["description"]
    description = NetworkDescription.from_json(stored).to_json()
    del description["validation_dice"]
    now = json.loads(json.dumps({**description, "versions": record["versions"]}))
    assert now == record
    assert list(now) == list(record)
    Experiment(tmp_path, "student", now, resume=True)


def test_soft_labels_record_their_members():
    record = SoftLabels(
        EARLIER / "soft_labels" / "0_1_2" / "train", RunRecord.read(EARLIER / "ensemble" / "val").classes
    ).read_record()
    assert sorted(record["weights"]) == ["other", "single"]
