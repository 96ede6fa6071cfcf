"""The stages: what each script does, top to bottom."""
