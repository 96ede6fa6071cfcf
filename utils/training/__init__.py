"""Training: losses, loop, log, experiment, dashboard, progress page."""
