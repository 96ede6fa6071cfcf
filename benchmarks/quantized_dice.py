"""Loss of Dice by 8 bits on real scans, by the test of export_network.py itself.

    python -m benchmarks.quantized_dice --data HIPPOCAMPUS/ --json benchmark_output/quantized_dice.json

The folder is a data set with a `split.json` of train, val and test. A dilated network is trained on it, once, for some
minutes. This is no part of `python -m benchmarks`, whose data are scans without a split.
"""

import subprocess
import sys
from pathlib import Path

from benchmarks.material import ROOT
from benchmarks.measure import Row, run_alone
from benchmarks.networks_at_hand import train_once
from networks.exported import read_exported

MARGIN = 0.002
NETWORK = ["-n", "dil2D", "--receptive-field-size", "35", "--sample-size", "16", "-b", "40", "-i", "2000"]


def run(data_folder: Path | None, work_folder: Path) -> list[Row]:
    if data_folder is None:
        raise SystemExit("--data: name a data set with a split.json")
    work = work_folder.resolve() / "quantized_dice"
    source, split = data_folder.resolve(), (data_folder / "split.json").resolve()
    words = ["-d", source, "-o", work / "DATA", "--voxel-size", 1, 1, 1, "--split-file", split]
    _run("resample_data", *words)
    weights = train_once(work / "DATA", work / "SAVE", "dilated", NETWORK, 2000)
    path = work / "dilated_int8.onnx"
    words = ["-w", weights, "-o", path, "--int8", "-d", work / "DATA", "--overwrite", "--margin"]
    try:
        _run("export_network", *words, MARGIN)
    except subprocess.CalledProcessError:  # refused; nothing is with the largest margin, which gives the figure
        _run("export_network", *words, 1)
    figures = read_exported(path).document["non_inferiority"]
    name = f"Dice lost by int8 at most (95%), {figures['patients']} patients"
    return [Row.absolute(name, -figures["low"], MARGIN, "")]


def _run(script: str, *words: object) -> None:
    subprocess.run([sys.executable, f"{script}.py", *map(str, words)], cwd=ROOT, check=True)


def main() -> None:
    run_alone("Dice of 8 bits", run)


if __name__ == "__main__":
    main()
