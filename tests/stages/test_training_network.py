"""Training (stage 2) as a user runs it: its files, stopping, and resuming to the same weights."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from base.errors import InputError
from tests.conftest import ROOT
from tests.material import SMALL, rows_of
from utils.training import log as training_log
from utils.training.trainer import Trainer


def options(kidneys, save, *more):
    return ["training_network.py", *SMALL, "-d", kidneys, "-s", save, "--classes", "0,1,2", *more]


def start(arguments) -> subprocess.Popen:
    command = [sys.executable, *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path, process):
    """Wait until a running stage has written `path`."""
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def state_of(path):
    return torch.load(path, weights_only=True)["state"]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_an_experiment_folder_holds_settings_log_and_weights(save):
    folder = save / "one"
    record = json.loads((folder / "experiment.json").read_text())
    assert record["training_cases"] == ["case_00000", "case_00001", "case_00002"]
    assert record["validation_cases"] == ["case_00003"]
    assert record["options"]["iterations"] == 30
    assert record["normalization"]["kind"] == "ct"
    assert record["voxel_size_mm"] == [3, 3, 5]
    assert {"torch", "numpy", "python"} <= set(record["versions"])
    rows = rows_of(folder / "log.csv")
    assert rows[-1]["iteration"] == "30"
    assert 0 <= float(rows[-1]["dice_1"]) <= 1
    page = (folder / "progress.html").read_text(encoding="utf-8")
    assert "finished" in page and "iteration 30 of 30" in page and 'http-equiv="refresh"' not in page
    assert re.search(r"case_00003, axial slice \d+ of \d+ after resampling, iteration 30", page)
    for name in ("curves.png", "LAST.pth", "FINAL_one_30.pth"):
        assert (folder / name).stat().st_size > 0
    assert not list(folder.glob(".*"))
    description = torch.load(folder / "FINAL_one_30.pth", weights_only=True)["description"]
    assert description["training_cases"] == record["training_cases"]


def test_training_reduces_the_validation_loss(save):
    rows = rows_of(save / "one" / "log.csv")
    assert float(rows[-1]["val_loss"]) < 1.9  # log 3 plus a Dice loss near 1 is no better than chance


def test_a_seed_determines_the_weights(run, kidneys, save, tmp_path):
    run(*options(kidneys, tmp_path, "-i", 30, "-x", 0, "-r", "again"))
    again = state_of(tmp_path / "again" / "FINAL_again_30.pth")
    assert same(again, state_of(save / "one" / "FINAL_one_30.pth"))
    assert not same(again, state_of(save / "two" / "FINAL_two_30.pth"))


def test_an_existing_experiment_is_never_overwritten(run, kidneys, save):
    before = {path: path.stat().st_mtime_ns for path in (save / "one").iterdir()}
    process = run(*options(kidneys, save, "-i", 30, "-r", "one"), status=2)
    assert "--resume" in process.stderr
    assert "finished before" in run(*options(kidneys, save, "-i", 30, "-r", "one", "--resume")).stdout
    assert "was begun with" in run(*options(kidneys, save, "-i", 31, "-r", "one", "--resume"), status=2).stderr
    assert before == {path: path.stat().st_mtime_ns for path in (save / "one").iterdir()}


def test_the_default_name_holds_the_options(run, kidneys, tmp_path):
    run(*options(kidneys, tmp_path, "-i", 1, "-x", 123))
    assert (tmp_path / "dil2D_rf19_s8_c0-1-2_CE+dice_i1_x123").is_dir()


def test_a_run_killed_ten_times_gives_the_weights_of_an_uninterrupted_run(run, kidneys, tmp_path):
    """SIGKILL comes at random moments, also during the start; the same command with --resume continues each time."""
    whole = options(kidneys, tmp_path, "-i", 400, "--checkpoint-every", 7, "--validate-every", 50)
    run(*whole, "-r", "never")
    arguments = [*whole, "-r", "killed", "--resume"]
    final = tmp_path / "killed" / "FINAL_killed_400.pth"
    rng = random.Random(0)
    kills, moments = 0, []
    while kills < 10:
        process = start(arguments)
        # Every third kill comes while the program starts, the others during training.
        if kills % 3 == 0:
            time.sleep(rng.uniform(0, 2))
        else:
            checkpoint = tmp_path / "killed" / "LAST.pth"
            known = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
            while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == known:
                assert process.poll() is None, process.communicate()
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.3))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the run was over before it was killed"
        kills += 1
        if (tmp_path / "killed" / "LAST.pth").exists():
            moments.append(torch.load(tmp_path / "killed" / "LAST.pth", weights_only=True)["training"]["iteration"])
    assert not final.exists()
    assert len(set(moments)) > 5
    run(*arguments)
    assert same(state_of(final), state_of(tmp_path / "never" / "FINAL_never_400.pth"))
    logs = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("never", "killed")]
    figures = [[line.rsplit(",", 3)[0].split(",")[:3] for line in log] for log in logs]
    assert figures[0] == figures[1]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_training_saves_a_checkpoint_and_says_how_to_resume(run, kidneys, tmp_path, number, status):
    arguments = options(kidneys, tmp_path, "-i", 100000, "-r", "stopped", "--checkpoint-every", 20)
    process = start(arguments)
    checkpoint = tmp_path / "stopped" / "LAST.pth"
    wait_for(checkpoint, process)
    running = (tmp_path / "stopped" / "progress.html").read_text(encoding="utf-8")
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status
    (line,) = [line for line in errors.splitlines() if line.startswith("stopped at iteration")]
    assert "--resume" in line
    assert "Traceback" not in errors
    last = int(line.split()[3].rstrip(";"))
    assert torch.load(checkpoint, weights_only=True)["training"]["iteration"] == last
    assert "running" in running and 'http-equiv="refresh"' in running and running.endswith("</html>\n")
    stopped = (tmp_path / "stopped" / "progress.html").read_text(encoding="utf-8")
    assert f"iteration {last} of 100000" in stopped and 'http-equiv="refresh"' not in stopped
    assert "stopped; goes on with --resume" in stopped


def test_the_progress_page_is_written_at_the_start_and_with_every_row(call, kidneys, tmp_path, monkeypatch):
    """If memory runs out during the prediction for the picture, the page has none and the training continues."""
    pages, written = [], training_log.write_text

    def write(path, text):
        pages.append(text)
        written(path, text)

    def run_out(*args, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(training_log, "write_text", write)
    arguments = options(kidneys, tmp_path, "-i", 4, "-r", "rows", "--validate-every", 2)[1:]
    printed = call("training_network", *arguments)
    assert f"progress: {tmp_path / 'rows' / 'progress.html'}\n" in printed
    lines = re.findall(r"iteration (\d) of 4: loss [\d.]+, validation [\d.]+; Dice .*; .* iterations/s(.*)", printed)
    assert [(number, bool(re.fullmatch(r", \d:\d\d:\d\d left", left))) for number, left in lines] == [
        ("2", True),
        ("4", False),
    ]
    assert f"report: {tmp_path / 'rows' / 'report.html'}\n" in printed
    assert [re.search(r"iteration (\d+) of 4", page).group(1) for page in pages] == ["0", "2", "4", "4"]
    assert ["refresh" in page for page in pages] == [True, True, True, False]
    assert [page.count("<img") for page in pages] == [0, 3, 3, 3]

    pages.clear()
    monkeypatch.setattr("utils.inference.volumes.VolumePredictor.__call__", run_out)
    call("training_network", *arguments[:-4], "-r", "full")
    assert (tmp_path / "full" / "FINAL_full_4.pth").exists()
    assert [page.count("<img") for page in pages] == [0, 0, 0]


def test_a_damaged_checkpoint_is_refused(call, kidneys, tmp_path):
    arguments = options(kidneys, tmp_path, "-i", 5, "-r", "damaged")[1:]
    call("training_network", *arguments)
    folder = tmp_path / "damaged"
    (folder / "FINAL_damaged_5.pth").unlink()
    (folder / "LAST.pth").write_bytes(b"half a file")
    with pytest.raises(InputError, match=r"LAST\.pth: cannot be read"):
        call("training_network", *arguments, "--resume")


def test_resuming_on_changed_data_is_refused(call, kidneys, tmp_path):
    data = tmp_path / "DATA"
    shutil.copytree(kidneys, data)
    arguments = options(data, tmp_path, "-i", 5, "-r", "changed")[1:]
    call("training_network", *arguments)
    shutil.rmtree(data / "train" / "case_00002")
    with pytest.raises(InputError, match="was begun with"):
        call("training_network", *arguments, "--resume")


def test_cases_without_a_reference_are_left_out(call, kidneys, tmp_path):
    data = tmp_path / "DATA"
    shutil.copytree(kidneys, data)
    shutil.move(data / "test" / "case_00005", data / "train" / "case_00005")
    call("training_network", *options(data, tmp_path, "-i", 1, "-r", "some")[1:])
    record = json.loads((tmp_path / "some" / "experiment.json").read_text())
    assert "case_00005" not in record["training_cases"]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--receptive-field-size", 36], "cannot have 36; it can have 19, 35, 67, 131"),
        (["--balance-ratios", "1,1"], "2 numbers for 3 classes"),
        (["--alpha", 0.5], "--alpha: means nothing without --soft"),
        (["--soft"], "python ensemble.py"),
        (["--device", "tpu"], "--device"),
        (["--learning-rate", 0], "--learning-rate"),
    ],
)
def test_invalid_options_are_refused(run, kidneys, tmp_path, more, problem):
    process = run(*options(kidneys, tmp_path, "-i", 1, *more), status=2)
    assert problem in process.stderr
    assert process.stderr.startswith("error: ")
    assert not list(tmp_path.iterdir())


def test_a_run_that_ran_out_of_memory_at_once_restarts_with_other_options(call, kidneys, tmp_path, monkeypatch):
    command = ["training_network", *SMALL, "-d", kidneys, "-s", tmp_path, "--classes", "0,1,2", "-i", 2, "-r", "new"]

    def run_out(training, batch):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched, pytest.raises(torch.OutOfMemoryError):
        patched.setattr(Trainer, "step", run_out)
        call(*command)
    assert not (tmp_path / "new" / "progress.html").exists()
    call(*command, "-b", 3)
    assert (tmp_path / "new" / "FINAL_new_2.pth").exists()


def test_a_diverging_loss_ends_the_run_without_final_weights(run, kidneys, tmp_path):
    arguments = options(kidneys, tmp_path, "-i", 20, "-r", "high", "--learning-rate", 1e30)
    assert "--learning-rate" in run(*arguments, status=2).stderr
    assert not list((tmp_path / "high").glob("FINAL*"))
