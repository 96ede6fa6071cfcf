"""Paired comparisons of finished runs."""
