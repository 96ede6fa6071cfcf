"""The study of docs/hippocampus.md: its command, its settings, its parts, and the targets that it is held against."""
