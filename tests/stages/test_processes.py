"""Stages in two processes, as torchrun starts them, give the results of one process, even after one was killed."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

from data.soft_labels import SoftLabels
from networks.description import NetworkDescription
from tests.material import SMALL, rows_of
from tests.processes import Ended, stage, together
from utils.training.trainer import Trainer

_build = NetworkDescription.build
COSTS = ("seconds", "peak_memory_mb")


def training_options(data: Path, save: Path, name: str, *more) -> list:
    options = ["-d", data, "-s", save, "-r", name, "--classes", "0,1,2", "-i", 6, "-b", 5, "--validate-every", 3]
    return [*SMALL, *options, "--augmentation", "strong", *more]


def build_double(description: NetworkDescription) -> torch.nn.Module:
    """Build a network in double precision.

    In single precision, patches of air amplify rounding errors to the leading digits within ten steps.
    """
    network = _build(description).double()
    network.register_forward_pre_hook(lambda _, arguments: (arguments[0].double(),))
    return network


def train_until_the_second_process_gets_sigterm(options: list) -> None:
    take_step = Trainer.step

    def step(self, batch) -> None:
        take_step(self, batch)
        if self.iteration == 3 and self.processes.rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    Trainer.step = step
    NetworkDescription.build = build_double
    stage("training_network", *options)


def test_a_stopped_training_of_two_processes_resumes_in_one_to_the_same_weights(call, kidneys, tmp_path, monkeypatch):
    options = training_options(kidneys, tmp_path, "both", "--checkpoint-every", 100)
    first, second = together(train_until_the_second_process_gets_sigterm, options)
    assert (first.status, second.status) == (143, 143), (first.output, second.output)
    assert "stopped at iteration 4;" in first.output
    assert second.output == ""
    assert torch.load(tmp_path / "both" / "LAST.pth", weights_only=True)["training"]["iteration"] == 4
    monkeypatch.setattr(NetworkDescription, "build", build_double)
    call("training_network", *options, "--resume")
    call("training_network", *training_options(kidneys, tmp_path, "one"))
    both, one = (
        torch.load(tmp_path / name / f"FINAL_{name}_6.pth", weights_only=True)["state"] for name in ("both", "one")
    )
    assert list(both) == list(one)
    for key, expected in one.items():
        torch.testing.assert_close(both[key], expected, rtol=1e-6, atol=1e-8)
    logs = [rows_of(tmp_path / name / "log.csv") for name in ("both", "one")]
    assert [row["iteration"] for row in logs[0]] == ["3", "6"]
    for rows in zip(*logs):
        for column in ("train_loss", "val_loss", "dice_1", "dice_2"):
            both, one = (float(row[column]) for row in rows)
            assert both == pytest.approx(one, abs=1e-6), column


def test_more_processes_than_patches_are_refused(kidneys, tmp_path):
    for process in together(stage, "training_network", *training_options(kidneys, tmp_path, "few", "-b", 1)):
        assert process.status == 2
        assert "--batch-size: 1 patches for 2 processes" in process.output


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the content of the images below `folder` by relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.nii.gz")}


def table_of(path: Path) -> list[dict]:
    """Return the rows of a table without time and memory."""
    return [{column: value for column, value in row.items() if column not in COSTS} for row in rows_of(path)]


def assert_succeeded(*processes: Ended) -> None:
    """Check that all processes succeeded and only the first printed something."""
    assert [process.status for process in processes] == [0] * len(processes), processes
    assert [bool(process.output) for process in processes] == [True] + [False] * (len(processes) - 1)


def test_two_processes_predict_what_one_predicts(call, kidneys, save, tmp_path):
    options = ["-d", kidneys, "-e", "test", "--network-weights", save / "one" / "FINAL_one_30.pth"]
    call("testing_network", *options, "-s", tmp_path / "one")
    shutil.copytree(tmp_path / "one" / "one", tmp_path / "two" / "same")
    processes = together(stage, "testing_network", *options, "-s", tmp_path / "two", "--compare", "same")
    assert_succeeded(*processes)
    assert "2 cases in" in processes[0].output
    folders = [tmp_path / name / "one" / "test" for name in ("one", "two")]
    assert files_of(folders[0]) == files_of(folders[1])
    assert len(files_of(folders[1])) == 2
    assert table_of(folders[0] / "metrics.csv") == table_of(folders[1] / "metrics.csv")
    assert not list(folders[1].glob("*part*"))
    assert {row["difference"] for row in rows_of(folders[1] / "comparison.csv")} == {"0"}


def average_until_the_first_is_killed(options: list) -> None:
    """Run an ensemble whose first process is killed while it writes its second case."""
    write, done = SoftLabels.write, []

    def write_and_die(self, case, *arrays) -> None:
        write(self, case, *arrays)
        if os.environ["RANK"] == "0" and done:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(case.name)

    SoftLabels.write = write_and_die
    stage("ensemble", *options)


def test_the_next_run_completes_the_work_of_a_killed_process(call, kidneys, save, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(save, tmp_path / name)

    def options(name):
        return ["-d", kidneys, "-s", tmp_path / name, "-e", "train", "--classes", "0,1,2", "-r", "run"]

    call("ensemble", *options("one"))
    killed, survivor = together(average_until_the_first_is_killed, options("two"))
    assert killed.status == -signal.SIGKILL
    assert (survivor.status, survivor.output.splitlines()) == (
        2,
        ["error: torchrun: another process has ended or cannot be reached; see its output"],
    )
    folders = [tmp_path / name / "run" / "train" for name in ("one", "two")]
    assert [row["case"] for row in rows_of(folders[1] / "metrics.csv")] == ["case_00000"] * 2
    assert [row["case"] for row in rows_of(folders[1] / "metrics.part1.csv")] == ["case_00001"] * 2
    # The third case may be predicted already, but is not finished.
    done = [folders[1] / f"{case}_prediction.nii.gz" for case in ("case_00000", "case_00001")]
    before = {path: path.stat().st_mtime_ns for path in done}

    processes = together(stage, "ensemble", *options("two"))
    assert_succeeded(*processes)
    assert "3 cases in" in processes[0].output
    assert before == {path: path.stat().st_mtime_ns for path in before}
    for table in ("metrics.csv", "members.csv", "uncertainty.csv"):
        assert table_of(folders[0] / table) == table_of(folders[1] / table)
    assert not list(folders[1].glob("*part*"))
    soft_labels = [files_of(tmp_path / name / "soft_labels") for name in ("one", "two")]
    assert soft_labels[0] == soft_labels[1]
    assert len(soft_labels[1]) == 3 * 2 * 3
    assert files_of(folders[0]) == files_of(folders[1])


def test_an_error_of_one_process_ends_the_others(kidneys, save, tmp_path):
    data = tmp_path / "DATA"
    shutil.copytree(kidneys, data)
    (data / "test" / "case_00005" / "imaging_rs.nii.gz").write_bytes(b"damaged")
    options = [
        "-d",
        data,
        "-s",
        tmp_path / "SAVE",
        "-e",
        "test",
        "--network-weights",
        save / "one" / "FINAL_one_30.pth",
    ]
    first, second = together(stage, "testing_network", *options)
    assert (first.status, second.status) == (2, 2)
    assert "another process has ended" in first.output
    assert "case_00005" in second.output
    assert [row["case"] for row in rows_of(tmp_path / "SAVE" / "one" / "test" / "metrics.csv")] == ["case_00004"] * 2


def test_two_processes_resample_and_one_reports_all_cases(tmp_path, kidneys):
    data = tmp_path / "DATA"
    for number, split in enumerate(("train", "train", "val")):
        case = data / f"case_{number:05d}"
        shutil.copytree(kidneys / split / f"case_{(0, 1, 3)[number]:05d}", case)
        (case / "resampling.json").unlink()
    (data / "case_00001" / "imaging.nii.gz").write_bytes(b"damaged")
    options = ["-d", data, "--voxel-size", 3, 3, 5, "--split", 1, 1, 1]
    first, second = together(stage, "resample_data", *options)
    assert (first.status, second.status) == (2, 0), (first, second)
    assert "2 resampled, 0 done before, 1 refused" in first.output
    assert first.output.splitlines()[-1].startswith("error: case_00001: refused: ")
    assert second.output == ""
    reported = [line.split()[0] for line in first.output.splitlines() if line.startswith("case_")]
    assert reported == ["case_00000", "case_00002"]
    for name, original in (("case_00000", "train/case_00000"), ("case_00002", "val/case_00003")):
        (folder,) = data.glob(f"*/{name}")
        for file in ("imaging_rs.nii.gz", "segmentation_rs.nii.gz"):
            assert (folder / file).read_bytes() == (kidneys / original / file).read_bytes()
