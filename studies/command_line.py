"""Command line of a study: its options, and the run of its parts."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # the folder of the four scripts


def build_study_parser(
    module: str, description: str, data_help: str, parts: Mapping[str, Mapping]
) -> argparse.ArgumentParser:
    """Return the parser of the options that all studies have; `parts` can be chosen if there are several."""
    parser = argparse.ArgumentParser(f"python -m {module}", description=description)
    parser.add_argument("--data", type=Path, required=True, help=f"{data_help} (required)")
    parser.add_argument("--work", type=Path, required=True, help="folder for all intermediate files (required)")
    parser.add_argument("--results", type=Path, help="folder for tables and pictures (default: WORK/results)")
    if len(parts) > 1:
        parser.add_argument(
            "--parts", nargs="+", choices=parts, default=list(parts), help="parts to run, in order (default: all)"
        )
    parser.add_argument(
        "--at-once", type=int, default=1, help="number of parallel trainings, which share the cores (default: 1)"
    )
    parser.add_argument(
        "--share", type=float, default=1.0, help="fraction of all iterations; less than 1 for a trial run (default: 1)"
    )
    return parser


def parse_study(parser: argparse.ArgumentParser, arguments, needed: str) -> argparse.Namespace:
    """Parse and check the options; the data set must hold the file `needed`."""
    args = parser.parse_args(arguments)
    if not (args.data / needed).is_file():
        parser.error(f"--data {args.data}: has no {needed}")
    if args.at_once < 1 or not 0 < args.share <= 1:
        parser.error("--at-once must be 1 or more, --share above 0 and at most 1")
    args.data, args.work = args.data.resolve(), args.work.resolve()
    return args


def run_parts(
    args: argparse.Namespace,
    root: Path,
    classes: str,
    parts: Mapping[str, Mapping],
    study_part: Callable,
    report: Callable,
) -> None:
    """Run the parts whose results are not stored, and report on all.

    Args:
        root: folder of the four scripts.
        classes: as on the command line of the scripts.
        parts: settings of each part, which are stored with its results.
        study_part: returns the results of a part, of its name, the scripts and all results.
        report: writes the report of all results.
    """
    from studies.results import Results
    from studies.scripts import Scripts
    from studies.steps import StepError

    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    results = Results(args.results or args.work / "results")
    scripts = Scripts(args.work, root, classes, os.cpu_count() or 1, args.at_once, args.share)
    try:
        for name in getattr(args, "parts", parts):
            settings = {**parts[name], "share": args.share}
            if not results.has(name, settings):
                print(f"\n== {name}", flush=True)
                results.keep(name, settings, study_part(name, scripts, results))
        report(results)
    except StepError as error:
        sys.exit(f"error: {error}")
