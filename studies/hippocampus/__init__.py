"""The study of docs/hippocampus.md: command, settings, parts, and what is made of their results."""
