#!/usr/bin/env python3
"""Train a student with few references and many scans, on 100 patients with cine MR of the heart.

    python -m studies.acdc --data acdc/ --work STUDY/ --results STUDY/results/ --at-once 2

Runs the whole study of docs/acdc.md, from the scans to its tables: it calls the four scripts as a user would, and takes
hours. A stopped study is resumed by the same command; parts with stored results are not run again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from studies.acdc.settings import CLASSES, PARTS, SETTINGS
from studies.command_line import ROOT, build_study_parser, parse_study, run_parts


def build_parser() -> argparse.ArgumentParser:
    description = "The study of docs/acdc.md, from the scans to its tables."
    data_help = "folder of ACDC's 100 patients with a protocol.json"
    return build_study_parser("studies.acdc", description, data_help, PARTS)


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> None:
    """Run the study; `root` is the folder of the four scripts."""
    args = parse_study(build_parser(), arguments, "protocol.json")

    from studies.acdc.parts import Study, study_part
    from studies.acdc.report import report

    parts = {name: {**SETTINGS, "annotated": count} for name, count in PARTS.items()}
    run_parts(
        args,
        root,
        CLASSES,
        parts,
        lambda name, scripts, results: study_part(Study(scripts, args.data, args.work), name),
        report,
    )


if __name__ == "__main__":
    main()
