"""Summaries of a measure over cases."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Summary:
    """Mean, sample standard deviation, median and worst value of a measure, over the cases where it is defined."""

    count: int
    mean: float
    deviation: float
    median: float
    worst: float
    worst_case: str


def summarise(values: Mapping[str, float | None], higher_is_better: bool) -> Summary | None:
    """Summarise values by case name; None if no case has a value. The deviation of a single case is 0."""
    known = {name: value for name, value in values.items() if value is not None}
    if not known:
        return None
    numbers = np.array(list(known.values()), float)
    worst_case = (min if higher_is_better else max)(known, key=known.get)
    deviation = float(numbers.std(ddof=1)) if len(numbers) > 1 else 0.0
    return Summary(
        len(numbers), float(numbers.mean()), deviation, float(np.median(numbers)), known[worst_case], worst_case
    )
