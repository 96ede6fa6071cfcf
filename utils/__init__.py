"""Command line, machine, training, inference, evaluation, ensembling, comparison: nothing here knows cases."""
