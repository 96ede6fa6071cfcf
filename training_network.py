#!/usr/bin/env python3
"""Stage 2: train one network; stage 5: with --soft, the student.

    python training_network.py -n dil2D -d DATA/ -s SAVE/ -x 123 -i 100000 --receptive-field-size 131 \\
           --sample-size 54 --patch-inclusion-criteria entire-sample-area --classes 0,3

The experiment goes to SAVE/<experiment>/. A training that was stopped or killed goes on with --resume, to the same
weights as if it had never stopped.
"""

from stages.training_options import TrainingOptions
from utils.cli.command_line import OneLineParser, run_stage
from utils.cli.options import add_options, read_options
from utils.runtime.processes import Processes


def build_parser() -> OneLineParser:
    """Return the parser of the command line."""
    parser = OneLineParser(description="Stage 2: train one network. Stage 5: with --soft, a student of an ensemble.")
    add_options(parser, TrainingOptions)
    return parser


def main(args) -> None:
    """Check the options, and train."""
    options = read_options(TrainingOptions, args).settled(Processes.of_environment().count)
    from stages.train import train_network

    train_network(options)


if __name__ == "__main__":
    run_stage(build_parser, main)
