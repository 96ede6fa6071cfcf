#!/usr/bin/env python3
"""Predict scans with a network, or with the mean of several: label maps, overlays and volumes.

    python predict.py -i scan.nii.gz -o out/ -w student.onnx

Scans may have any spacing, orientation and size; label maps lie on their exact grids. Finished scans are skipped. A
scan that cannot be predicted is told in one line, and the others go on.
"""

from stages.scan_options import ScanPredictionOptions
from utils.cli.command_line import OneLineParser, run_stage
from utils.cli.options import add_options, read_options


def build_parser() -> OneLineParser:
    """Return the parser of the command line."""
    parser = OneLineParser(description="Predict single scans with a finished network, or with several.")
    add_options(parser, ScanPredictionOptions)
    return parser


def main(args) -> None:
    """Check the options, and predict the scans."""
    options = read_options(ScanPredictionOptions, args)
    options.check()
    from stages.predict_scans import predict_scans

    predict_scans(options)


if __name__ == "__main__":
    run_stage(build_parser, main)
