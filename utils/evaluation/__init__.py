"""Measures of a case, and the results of a run."""
