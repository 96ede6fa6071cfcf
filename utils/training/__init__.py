"""Training: losses, steps, log, experiment, dashboard."""
