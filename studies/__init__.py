"""What a study of accuracy stands on: steps that run once, the four scripts, results that are kept, claims tested."""
