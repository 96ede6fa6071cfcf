"""Order in which references of scans without one would help most: by doubt, thinned so that like do not follow like.

A random order is hard to beat in active learning for segmentation, so that the order is a proposal.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

_CLOSE = 0.25  # times the median distance between cases: nearer ones count as near-duplicates


def annotation_order(
    doubts: Mapping[str, float], features: Mapping[str, Sequence[float]], patients: Mapping[str, str]
) -> dict[str, int]:
    """Return the cases in the order of annotation, with the round in which each is taken.

    In every round, cases are taken by falling doubt, except those of a patient, or close to a case, that the round
    already has: they wait for the next round.

    Args:
        doubts: of each case, by name.
        features: that describe a case, such as the logarithms of its volumes; of equal length.
        patients: patient of each case.
    """
    waiting = sorted(doubts, key=lambda case: (-doubts[case], case))
    places = _scaled({case: features[case] for case in waiting})
    near = _near_distance(list(places.values()))
    order, number = {}, 0
    while waiting:
        number += 1
        taken, seen = [], set()
        taken_places = np.empty((len(waiting), len(places[waiting[0]])))
        for case in waiting:
            distances = np.linalg.norm(taken_places[: len(taken)] - places[case], axis=1)
            patient = patients.get(case, case)
            if patient not in seen and not (distances < near).any():
                taken_places[len(taken)] = places[case]
                taken.append(case)
                seen.add(patient)
        order |= dict.fromkeys(taken, number)
        waiting = [case for case in waiting if case not in order]
    return order


def _scaled(features: Mapping[str, Sequence[float]]) -> dict[str, np.ndarray]:
    """Return features with a standard deviation of 1 each; constant ones do not count."""
    values = np.array(list(features.values()), float)
    deviations = values.std(axis=0)
    scaled = values[:, deviations > 0] / deviations[deviations > 0]
    return dict(zip(features, scaled))


def _near_distance(places: Sequence[np.ndarray]) -> float:
    """Return the distance below which cases are near-duplicates, from 200 cases at most; 0 for fewer than three."""
    some = places[:: -(-len(places) // 200)]
    distances = [np.linalg.norm(one - other) for one, other in combinations(some, 2)]
    return _CLOSE * float(np.median(distances)) if len(distances) > 1 else 0.0
