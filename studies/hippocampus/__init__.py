"""Study of docs/hippocampus.md: command, settings, parts, and the report of their results."""
