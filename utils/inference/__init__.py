"""Whole volumes through any callable from arrays to arrays."""
