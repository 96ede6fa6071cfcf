"""Losses, metrics, statistics, whole-volume inference, experiments, dashboard, pictures, arguments."""
