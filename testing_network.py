#!/usr/bin/env python3
"""Stage 3: predict the cases of a split with one network, and measure the predictions.

    python testing_network.py -d DATA/ -s SAVE/ -r nameofexperiment -n dil2D -e val \\
           --network-weights /path/to/network/weights/FINAL*100000.pth --receptive-field-size 131 --classes 0,3

Predictions lie on the exact grid of each imaging.nii.gz. Options that the weights store need not be repeated; options
that contradict them are refused. Finished cases are skipped. With --compare, the results are compared with those of
other runs on the same split.
"""

from stages.testing_options import NetworkTestOptions
from utils.cli.command_line import OneLineParser, run_stage
from utils.cli.options import add_options, read_options


def build_parser() -> OneLineParser:
    """Return the parser of the command line."""
    parser = OneLineParser(description="Stage 3: predict the cases of a split with one network, and measure.")
    add_options(parser, NetworkTestOptions)
    return parser


def main(args) -> None:
    """Check the options, and predict the split."""
    options = read_options(NetworkTestOptions, args).settled()
    from stages.predict import predict_split

    predict_split(options)


if __name__ == "__main__":
    run_stage(build_parser, main)
