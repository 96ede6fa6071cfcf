"""Foundations of all packages: errors shown to users, atomic file writing, label classes. NumPy only."""
