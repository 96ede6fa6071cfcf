#!/usr/bin/env python3
"""Export a finished network as one ONNX file that predict.py, and other programs, can use without PyTorch.

    python export_network.py -w SAVE/student/FINAL*.pth -o student.onnx

The file holds everything that prediction needs. It is read back and compared with PyTorch before it is kept. With
--int8, the network is quantized, and kept only if it is not inferior on the cases of a split.
"""

from stages.export_options import ExportOptions
from utils.cli.command_line import OneLineParser, run_stage
from utils.cli.options import add_options, read_options


def build_parser() -> OneLineParser:
    """Return the parser of the command line."""
    parser = OneLineParser(description="Export a finished network as one ONNX file, with 32 or 8 bits.")
    add_options(parser, ExportOptions)
    return parser


def main(args) -> None:
    """Check the options, and export the network."""
    options = read_options(ExportOptions, args)
    options.check()
    from stages.export import export_network

    export_network(options)


if __name__ == "__main__":
    run_stage(build_parser, main)
