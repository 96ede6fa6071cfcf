#!/usr/bin/env python3
"""Train a student with few references and many scans, on 100 patients with cine MR of the heart.

    python -m studies.acdc --data acdc/ --work STUDY/ --results STUDY/results/ --at-once 2

Runs the whole study of docs/acdc.md, from the scans to its tables: it calls the four scripts as a user would, and takes
hours. A stopped study is resumed by the same command; parts with stored results are not run again.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from studies.acdc.settings import CLASSES, PARTS, SETTINGS

ROOT = Path(__file__).resolve().parents[2]


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m studies.acdc", description="The study of docs/acdc.md, from the scans to its tables."
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of ACDC's 100 patients with a protocol.json (required)"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for all intermediate files (required)")
    parser.add_argument("--results", type=Path, help="folder for tables and pictures (default: WORK/results)")
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=list(PARTS), help="parts to run, in order (default: all)"
    )
    parser.add_argument(
        "--at-once", type=int, default=1, help="number of parallel trainings, which share the cores (default: 1)"
    )
    parser.add_argument(
        "--share", type=float, default=1.0, help="fraction of all iterations; less than 1 for a trial run (default: 1)"
    )
    return parser


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> None:
    """Run the study; `root` is the folder of the four scripts."""
    parser = build_parser()
    args = parser.parse_args(arguments)
    if not (args.data / "protocol.json").is_file():
        parser.error(f"--data {args.data}: has no protocol.json")
    if args.at_once < 1 or not 0 < args.share <= 1:
        parser.error("--at-once must be 1 or more, --share above 0 and at most 1")

    from studies.acdc.parts import Study, study_part
    from studies.acdc.report import report
    from studies.results import Results
    from studies.scripts import Scripts
    from studies.steps import StepError

    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    args.data, args.work = args.data.resolve(), args.work.resolve()
    results = Results(args.results or args.work / "results")
    scripts = Scripts(args.work, root, CLASSES, os.cpu_count() or 1, args.at_once, args.share)
    study = Study(scripts, args.data, args.work)
    try:
        for name in args.parts:
            settings = {**SETTINGS, "annotated": PARTS[name], "share": args.share}
            if not results.has(name, settings):
                print(f"\n== {name}: references of {PARTS[name]} patients", flush=True)
                results.keep(name, settings, study_part(study, name))
        report(results)
    except StepError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
