import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from base.errors import InputError
from base.folder_lock import locked

HOLDER = (
    "import sys, time; from pathlib import Path; from base.folder_lock import locked\n"
    "with locked(Path(sys.argv[1])):\n"
    "    print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def holder(tmp_path):
    """Yield a process that holds the lock of a folder."""
    command = [sys.executable, "-c", HOLDER, tmp_path / "folder"]
    with subprocess.Popen(command, cwd=Path.cwd(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_holds_the_folder(tmp_path, holder):
    with pytest.raises(InputError, match=rf"folder: is in use by .*process {holder.pid} on .*since 20"):  # noqa: SIM117
        with locked(tmp_path / "folder"):
            pass


def test_the_lock_of_a_killed_process_is_released(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with locked(tmp_path / "folder"):
        (tmp_path / "folder" / "result").touch()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["result"]


def test_a_folder_created_for_the_lock_is_removed_if_it_stays_empty(tmp_path):
    with locked(tmp_path / "new" / "run" / "val"):
        assert (tmp_path / "new" / "run" / "val").is_dir()
    assert not (tmp_path / "new").exists()
    with locked(tmp_path / "new" / "run" / "val"):
        (tmp_path / "new" / "result").touch()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["result"]
    (tmp_path / "old").mkdir()
    with locked(tmp_path / "old"):
        pass
    assert (tmp_path / "old").exists()


def test_a_folder_is_not_created_if_no_lock_is_wanted(tmp_path):
    with locked(tmp_path / "new", wanted=False):
        assert not (tmp_path / "new").exists()


def test_a_released_lock_can_be_acquired_again(tmp_path):
    for _ in range(3):
        with locked(tmp_path), pytest.raises(InputError, match="in use"), locked(tmp_path):
            pass
