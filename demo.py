#!/usr/bin/env python3
"""Run every stage on phantoms, as a user would: about 6 minutes on 2 cores. Start it with `make demo`.

Kidney and tumour as one class (0,3): three teachers, their soft labels, a student. Kidney and tumour as two classes
(0,1,2): one teacher, clipped to the reference. Everything is written to demo_output/; a stopped demo is resumed by the
same command.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from base.csv_files import read_table
from utils.cli.command_line import OneLineParser, run_stage

ROOT = Path(__file__).resolve().parent
OUTPUT = ROOT / "demo_output"
DATA, SAVE = OUTPUT / "DATA", OUTPUT / "SAVE"
CASES = 14
WHOLE_KIDNEY = ["--receptive-field-size", "35", "--sample-size", "16", "--classes", "0,3"]
KIDNEY_AND_TUMOUR = ["--receptive-field-size", "35", "--sample-size", "10", "--classes", "0,1,2"]
TRAINING = ["-n", "dil2D", "-b", "16", "-i", "500", "--validate-every", "100", "--checkpoint-every", "100"]
TRAINING += ["--visdom-port", "0", "--resume"]


def build_parser() -> OneLineParser:
    return OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)


def main(args) -> None:
    run(["-m", "data.phantom", DATA, "--cases", CASES])
    run(["resample_data.py", "-d", DATA, "--voxel-size", "3.5", "3.5", "5", "--split", "8", "2", "4", "-j", "2"])

    teachers = [train(seed, WHOLE_KIDNEY, "entire-sample-area") for seed in (1, 2, 3)]
    average("train", WHOLE_KIDNEY)
    average("test", WHOLE_KIDNEY)
    student = train(1, WHOLE_KIDNEY, "entire-sample-area", "--soft")
    second = train(1, KIDNEY_AND_TUMOUR, "patch-center-voxel", "--balance-ratios", "0,5,5")
    average("test", KIDNEY_AND_TUMOUR, "--clip", "True")
    for experiment in (*teachers, student, second):
        test(experiment)

    print("\nKidney and tumour as one class (classes 0,3), test cases")
    print_table({"teacher": teachers, "ensemble": ["ensemble_c0-3_rf35_s16"], "student": [student]})
    print("\nKidney (1) and tumour (2), classes 0,1,2, test cases; the ensemble of one is clipped to the reference")
    print_table({"teacher": [second], "clipped": ["ensemble_c0-1-2_rf35_s10"]})
    print("\nPictures")
    for picture in sorted(SAVE.glob("*/test/*_overlay.png")) + sorted(SAVE.glob("*/curves.png")):
        print(f"  {picture.relative_to(ROOT)}")


def run(arguments: list) -> None:
    """Run a command of the program; exit with its status if it fails."""
    words = [str(word) for word in arguments]
    print("\n$ python " + " ".join(words).replace(f"{ROOT}/", ""), flush=True)
    status = subprocess.run([sys.executable, *words], cwd=ROOT, check=False).returncode
    if status:
        raise SystemExit(status)


def train(seed: int, network: list[str], criterion: str, *more: str) -> str:
    """Train a network and return the name of the experiment."""
    command = ["training_network.py", "-d", DATA, "-s", SAVE, "-x", seed, *TRAINING, *network]
    name = f"{'student' if '--soft' in more else 'teacher'}_{network[-1].replace(',', '-')}_x{seed}"
    run([*command, "--patch-inclusion-criteria", criterion, *more, "-r", name])
    return name


def average(split: str, network: list[str], *more: str) -> None:
    run(["ensemble.py", "-d", DATA, "-s", SAVE, "-e", split, *network, *more])


def test(experiment: str) -> None:
    weights = SAVE / experiment / f"FINAL_{experiment}_*.pth"
    run(["testing_network.py", "-d", DATA, "-s", SAVE, "-e", "test", "--network-weights", weights])


def print_table(runs: dict[str, list[str]]) -> None:
    print(f"{'':10} {'Dice':>24} {'s / case':>9} {'parameters':>11}  run")
    for kind, names in runs.items():
        for name in names:
            rows = read_table(SAVE / name / "test" / "metrics.csv")
            dices = {label: [float(row["dice"]) for row in rows if row["class"] == label] for label in "123"}
            text = "  ".join(f"{label}: {sum(values) / len(values):.3f}" for label, values in dices.items() if values)
            seconds = sum(float(row["seconds"]) for row in rows) / len(rows)
            print(f"{kind:10} {text:>24} {seconds:9.2f} {count_parameters(name):11,}  {name}")


def count_parameters(run_name: str) -> int:
    """Return the number of parameters of all networks of a run."""
    members = json.loads((SAVE / run_name / "test" / "predictions.json").read_text())["weights"]
    return sum(json.loads((SAVE / member / "experiment.json").read_text())["parameters"] for member in members)


if __name__ == "__main__":
    run_stage(build_parser, main)
