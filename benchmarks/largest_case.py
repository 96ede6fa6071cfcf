"""Peak memory of every stage on one case of about 512 × 512 × 600 voxels, at the default voxel size."""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.material import ROOT
from benchmarks.measure import Row, run_alone, run_measured
from data.case_folder import SPLITS
from data.phantom import write_phantoms

SHAPE, SPACING_MM = (600, 512, 512), (1.0, 0.8, 0.8)
TARGET_GB = 4.0

NETWORK = ["-n", "dil2D", "--receptive-field-size", 35, "--sample-size", 10, "--classes", "0,1,2"]
TRAINING = ["-i", 20, "-b", 40, "--visdom-port", 0]


def run(data_folder: Path | None, work_folder: Path) -> list[Row]:
    """Measure every stage on a phantom; `data_folder` is not used, since few scans are that large."""
    work = (work_folder / "largest_case").resolve()
    write_phantoms(work / "scans", 1, shape=SHAPE, spacing_mm=SPACING_MM)
    with TemporaryDirectory(dir=work) as made:  # measured outputs are written anew
        return _measure(work / "scans", Path(made) / "data", Path(made) / "save")


def _measure(scans: Path, data: Path, save: Path) -> list[Row]:
    """Run every stage on the scan, with two new folders for data and experiments."""
    rows = [_row("stage 1", "resample_data.py", "-d", scans, "-o", data / "train")]
    for split in SPLITS[1:]:
        shutil.copytree(data / "train", data / split, symlinks=True)
    where = ["-d", data, "-s", save]
    trainings = [
        _row("training", "training_network.py", *where, *NETWORK, *TRAINING, "-x", seed, "-r", name)
        for seed, name in enumerate(("one", "two"))
    ]
    rows.append(max(trainings, key=lambda row: row.value))
    weights = save / "one" / "FINAL_*.pth"
    rows.append(_row("testing", "testing_network.py", *where, "-e", "test", "--network-weights", weights))
    rows.append(_row("ensemble of 2", "ensemble.py", *where, "-e", "test", "--classes", "0,1,2"))
    return rows


def _row(stage: str, script: str, *options) -> Row:
    seconds, peak_bytes = run_measured([sys.executable, ROOT / script, *options])
    print(f"{stage}: {seconds:.0f} s, {peak_bytes / 1e9:.2f} GB", flush=True)
    return Row.absolute(f"peak memory, {stage}, 512 × 512 × 600 voxels", peak_bytes / 1e9, TARGET_GB, "GB")


def main() -> None:
    run_alone("largest case", run)


if __name__ == "__main__":
    main()
