#!/usr/bin/env python3
"""Stage 4: average networks into soft labels, and measure the ensemble.

    python ensemble.py -d DATA/ -s SAVE/ -e val --receptive-field-size 131 --sample-size 54 --classes 0,3

Without a list, the members are the finished networks in SAVE that fit the given classes, receptive field and sample
size, except students. A student needs the soft labels of the training cases: -e train.
"""

from stages.ensemble_options import EnsembleOptions
from utils.cli.command_line import OneLineParser, run_stage
from utils.cli.options import add_options, read_options


def build_parser() -> OneLineParser:
    """Return the parser of the command line."""
    parser = OneLineParser(description="Stage 4: average networks into soft labels, and measure the ensemble.")
    add_options(parser, EnsembleOptions)
    return parser


def main(args) -> None:
    """Check the options, and average the ensemble."""
    options = read_options(EnsembleOptions, args)
    options.check()
    from stages.average import average_split

    average_split(options)


if __name__ == "__main__":
    run_stage(build_parser, main)
