#!/usr/bin/env python3
"""Stage 1: bring the cases of a data set to case folders on one voxel grid.

    python resample_data.py -d "path-to-data-directory"
    python resample_data.py -d Task04_Hippocampus -o DATA --voxel-size 1 1 1 --split 70 15 15
    python resample_data.py --images SCANS --references LABELS -o DATA --split 70 15 15
    python resample_data.py -d Task04_Hippocampus --plan PLAN

The layout of the data set is recognized by its files, or named by --layout. Cases that are done with the same options
are skipped, so the same command continues a run that was stopped. With --plan, nothing is resampled: the data set is
read, and facts, proposed settings and the commands of all stages are written.
"""

from stages.resampling_options import ResamplingOptions
from utils.cli.command_line import OneLineParser, run_stage
from utils.cli.options import add_options, read_options


def build_parser() -> OneLineParser:
    """Return the parser of the command line."""
    parser = OneLineParser(description="Stage 1: check and resample the cases of a data set.")
    add_options(parser, ResamplingOptions)
    return parser


def main(args) -> None:
    """Check the options, and resample or plan."""
    options = read_options(ResamplingOptions, args)
    options.check()
    if options.plan:
        from stages.plan import plan_data_set

        plan_data_set(options)
        return
    from stages.resample import resample_data_set

    resample_data_set(options)


if __name__ == "__main__":
    run_stage(build_parser, main)
