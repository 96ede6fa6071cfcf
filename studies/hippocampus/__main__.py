#!/usr/bin/env python3
"""Compare ensembles with their members, and students with their ensembles, on 200 real MR scans.

    python -m studies.hippocampus --data hippocampus/ --work STUDY/ --results STUDY/results/ --at-once 2

Runs the whole study of docs/hippocampus.md, from the scans to its tables: it calls the four scripts as a user would,
and takes hours. A stopped study is resumed by the same command; parts with stored results are not run again. The
options of the students are chosen automatically on validation cases, before any test case is predicted.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from studies.command_line import ROOT, build_study_parser, parse_study, run_parts
from studies.hippocampus.settings import CLASSES, SETTINGS


def build_parser() -> argparse.ArgumentParser:
    description = "The study of docs/hippocampus.md, from the scans to its tables."
    return build_study_parser(
        "studies.hippocampus", description, "folder of the Decathlon's Task04 with a split.json", SETTINGS
    )


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> None:
    """Run the study; `root` is the folder of the four scripts."""
    args = parse_study(build_parser(), arguments, "split.json")

    from studies.hippocampus.parts import PARTS, Study
    from studies.hippocampus.report import report

    def study_part(name, scripts, results):
        return PARTS[name](Study(scripts, results, args.data, args.work))

    run_parts(args, root, CLASSES, SETTINGS, study_part, report)


if __name__ == "__main__":
    main()
