"""Agreement of the members of an ensemble on a case: the mean Dice of each two of them."""

from collections.abc import Sequence
from itertools import combinations
from statistics import fmean

import numpy as np

from base.argmax import argmax
from base.boxes import Box, bounding_box
from base.regions import Region
from utils.evaluation.metrics import dice


class MemberAgreement:
    """Segmentations of the members, kept within the boxes of their foregrounds: one byte a voxel."""

    def __init__(self):
        self._kept: list[tuple[Box, np.ndarray]] = []

    def add(self, probabilities: np.ndarray) -> None:
        """Add the probabilities of one member, float32 (classes, z, y, x)."""
        labels = argmax(probabilities)
        box = bounding_box(labels)
        self._kept.append((box, labels[box].copy()))

    def pairwise_dice(self, regions: Sequence[Region]) -> list[float] | None:
        """Return the mean Dice over all pairs of members, of each region; None for fewer than two members."""
        if len(self._kept) < 2:
            return None
        full = [(box, labels) for box, labels in self._kept if labels.size]
        low = [min((box[axis].start for box, _ in full), default=0) for axis in range(3)]
        high = [max((box[axis].start + labels.shape[axis] for box, labels in full), default=0) for axis in range(3)]
        members = []
        for box, labels in self._kept:
            whole = np.zeros(np.subtract(high, low), np.uint8)
            corner = [part.start - start for part, start in zip(box, low)] if labels.size else [0] * 3
            whole[tuple(slice(start, start + size) for start, size in zip(corner, labels.shape))] = labels
            members.append(whole)
        means = []
        for region in regions:
            masks = [np.isin(labels, region.channels) for labels in members]
            means.append(fmean(dice(one, other) for one, other in combinations(masks, 2)))
        return means
