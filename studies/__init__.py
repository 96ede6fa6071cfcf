"""Studies of accuracy: steps that run once, calls of the four scripts, stored results, tests of claims."""
