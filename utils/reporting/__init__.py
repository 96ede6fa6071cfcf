"""Reports of runs and trainings: a page to look at, and the same figures for programs."""
