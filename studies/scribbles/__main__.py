#!/usr/bin/env python3
"""Train a student with scribbles alone, on 100 patients with cine MR of the heart.

    python -m studies.scribbles --data acdc/ --scribbles acdc_scribbles/ --work STUDY/ --at-once 2

Runs the whole study, from the scans to its tables: it calls the four scripts as a user would, and takes hours. A
stopped study is resumed by the same command.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from studies.acdc.settings import CLASSES
from studies.command_line import ROOT, build_study_parser, parse_study, run_parts
from studies.scribbles.settings import PARTS


def build_parser() -> argparse.ArgumentParser:
    description = "The study of scribbles, from the scans to its tables."
    data_help = "folder of ACDC's 100 patients with a protocol.json"
    parser = build_study_parser("studies.scribbles", description, data_help, PARTS)
    parser.add_argument("--scribbles", type=Path, required=True, help="folder of the patients' scribbles (required)")
    return parser


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> None:
    """Run the study; `root` is the folder of the four scripts."""
    parser = build_parser()
    args = parse_study(parser, arguments, "protocol.json")
    if not args.scribbles.is_dir():
        parser.error(f"--scribbles {args.scribbles}: there is no such folder")

    from studies.scribbles.parts import Study, study_part
    from studies.scribbles.report import report

    def study(name, scripts, results):
        return study_part(Study(scripts, args.data, args.scribbles.resolve(), args.work), name)

    run_parts(args, root, CLASSES, PARTS, study, report)


if __name__ == "__main__":
    main()
