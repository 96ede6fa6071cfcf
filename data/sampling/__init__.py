"""Patches: where they are cut, how they are augmented, and how they become batches."""
