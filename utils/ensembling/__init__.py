"""Averages over members, and what each member contributes."""
