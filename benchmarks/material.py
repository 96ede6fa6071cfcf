"""Cases of realistic size for benchmarks, before and after stage 1."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from base.json_files import write_json
from data.case_folder import IMAGE, REFERENCE
from data.phantom import write_phantoms

ROOT = Path(__file__).resolve().parents[1]
LARGE = {"shape": (97, 512, 512), "spacing_mm": (3.0, 0.8, 0.8)}  # a typical scan of KiTS19

_CASES = 4


def raw_cases(data_folder: Path | None, work_folder: Path) -> list[Path]:
    """Return up to four case folders with a reference, of `data_folder` or, if it is None, of large phantoms.

    Raises:
        RuntimeError: there are fewer than three cases.
    """
    if data_folder is None:
        data_folder = work_folder / "phantoms"
        write_phantoms(data_folder, 3, **LARGE)
    folders = [path.parent for path in sorted(data_folder.glob(f"*/{IMAGE}")) if (path.parent / REFERENCE).exists()]
    if len(folders) < 3:
        raise RuntimeError(f"{data_folder}: has {len(folders)} cases with {IMAGE} and {REFERENCE}; give at least 3")
    return folders[:_CASES]


def prepared_cases(data_folder: Path | None, work_folder: Path) -> Path:
    """Return a DATA folder with the `raw_cases` after stage 1 (one in val, one in test, others in train), made once."""
    return prepare(raw_cases(data_folder, work_folder), work_folder)


def prepare(folders: Sequence[Path], work_folder: Path) -> Path:
    """Resample case folders to the default voxel size, one in val, one in test and others in train, once."""
    output = work_folder / "prepared"
    names = [folder.name for folder in folders]
    split_path = work_folder / "split_of_prepared.json"
    write_json(split_path, {"train": names[2:], "val": names[:1], "test": names[1:2]})
    command = [sys.executable, "resample_data.py", "-d", folders[0].parent.resolve(), "-o", output.resolve()]
    subprocess.run([*command, "--split-file", split_path.resolve(), "-j", "2"], cwd=ROOT, check=True)
    return output
