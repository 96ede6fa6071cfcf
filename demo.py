#!/usr/bin/env python3
"""Run every stage on phantoms, as a user would: under 6 minutes on 2 cores. Start it with `make demo`.

Three networks segment kidneys with their tumours (classes 0,3). Their ensemble labels the training cases, and one small
student learns from these soft labels. At the end, the student is compared with the ensemble and with one of the
networks alone, in a report. Everything is written to demo_output/; a stopped demo is resumed by the same command.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from utils.cli.command_line import OneLineParser, run_stage

ROOT = Path(__file__).resolve().parent
OUTPUT = ROOT / "demo_output"
DATA, SAVE = OUTPUT / "DATA", OUTPUT / "SAVE"
SPLIT = ("8", "9", "6")  # nine validation patients are the fewest for a lower bound of the predicted Dice
NETWORK = ["--receptive-field-size", "35", "--sample-size", "16", "--classes", "0,3"]
TRAINING = ["-n", "dil2D", "-b", "16", "-i", "500", "--validate-every", "100", "--checkpoint-every", "100"]
TRAINING += ["--patch-inclusion-criteria", "entire-sample-area", "--visdom-port", "0", "--resume"]
ENSEMBLE, ALONE, STUDENT = "ensemble", "network_x1", "student_x1"


def build_parser() -> OneLineParser:
    return OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)


def main(args) -> None:
    run(["-m", "data.phantom", DATA, "--cases", sum(map(int, SPLIT))])
    run(["resample_data.py", "-d", DATA, "--voxel-size", "3.5", "3.5", "5", "--split", *SPLIT, "-j", "2"])

    for seed in (1, 2, 3):
        train(seed, f"network_x{seed}")
    for split in ("train", "val", "test"):
        run(["ensemble.py", "-d", DATA, "-s", SAVE, "-e", split, *NETWORK, "-r", ENSEMBLE])
    train(1, STUDENT, "--soft")
    test(ALONE, "test")
    test(STUDENT, "val")
    test(STUDENT, "test", "--compare", ENSEMBLE, ALONE)

    print("\nKidney and tumour as one class, test cases")
    print_table({"network alone": ALONE, "ensemble": ENSEMBLE, "student": STUDENT})
    print("(A few easy phantoms and short trainings show the commands, not what distillation gains.)")
    print(f"\nThe student, compared with both: open\n  {(SAVE / STUDENT / 'test' / 'report.html').as_uri()}")


def run(arguments: list) -> None:
    """Run a command of the program; exit with its status if it fails."""
    words = [str(word) for word in arguments]
    print("\n$ python " + " ".join(words).replace(f"{ROOT}/", ""), flush=True)
    status = subprocess.run([sys.executable, *words], cwd=ROOT, check=False).returncode
    if status:
        raise SystemExit(status)


def train(seed: int, name: str, *more: str) -> None:
    run(["training_network.py", "-d", DATA, "-s", SAVE, "-x", seed, *TRAINING, *NETWORK, *more, "-r", name])


def test(name: str, split: str, *more: str) -> None:
    weights = SAVE / name / f"FINAL_{name}_*.pth"
    run(["testing_network.py", "-d", DATA, "-s", SAVE, "-e", split, "--network-weights", weights, *more])


def print_table(runs: dict[str, str]) -> None:
    print(f"{'':14} {'Dice':>6} {'s / case':>9} {'parameters':>11}  run")
    for kind, name in runs.items():
        summary = json.loads((SAVE / name / "test" / "summary.json").read_text(encoding="utf-8"))
        dice = next(one["mean"] for one in summary["measures"] if one["measure"] == "dice")
        print(f"{kind:14} {dice:6.3f} {summary['seconds']:9.2f} {summary['parameters']:11,}  {name}")


if __name__ == "__main__":
    run_stage(build_parser, main)
