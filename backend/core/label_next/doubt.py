"""How much a version is likely to be wrong in a picture, from the scores of what it found there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from backend.core.geometry.instances import FloatArray, IntArray

LEAST_SCORE = 0.05
"""Detections from this score up may be objects."""
IN_DOUBT = (0.15, 0.6)
"""Between these scores a person cannot rely on what the version says."""
RARE_SHARE = 0.25
"""A label is rare that has so much fewer labelled objects than its share among all labels would be."""
LARGEST_WEIGHT = 4.0


@dataclass(frozen=True)
class Doubt:
    """What is doubtful in one picture.

    amount: expected mistakes, those about rare labels counted several times. objects: how many are in doubt.
    rare_label: a rare one that something may be, and rare_count: how many objects of it are labelled.
    """

    amount: float = 0.0
    objects: int = 0
    rare_label: str | None = None
    rare_count: int = 0


@dataclass(frozen=True)
class LabelWeights:
    """How much a mistake about each label counts, from how many objects of it are labelled."""

    counts: Mapping[str, int]
    labels: Sequence[str]

    def weight(self, label: str) -> float:
        """Return 1 for a label as frequent as labels are in the mean, up to LARGEST_WEIGHT for rarer ones."""
        weight = (self._mean / (self.counts.get(label, 0) + 1.0)) ** 0.5
        return float(min(max(weight, 1.0 / LARGEST_WEIGHT), LARGEST_WEIGHT))

    def is_rare(self, label: str) -> bool:
        """Tell whether few objects of a label are known, compared with the others."""
        return len(self.labels) > 1 and self.counts.get(label, 0) < RARE_SHARE * self._mean

    @property
    def _mean(self) -> float:
        total = sum(self.counts.get(label, 0) for label in self.labels)
        return (total + 1.0) / max(1, len(self.labels))


def doubt_of(scores: FloatArray, label_indices: IntArray, weights: LabelWeights) -> Doubt:
    """Return the doubt in one picture; scores [N] 0..1 and label_indices [N] of what was found.

    A detection of score s is a mistake, shown or not, with the probability of the rarer case: its variance
    s (1 - s), four times over, so that it is 1 where the version knows nothing.
    """
    amount, objects = 0.0, 0
    rare: tuple[float, str] | None = None
    for score, index in zip(scores.tolist(), label_indices.tolist(), strict=True):
        if score < LEAST_SCORE:
            continue
        label = weights.labels[index]
        amount += 4.0 * score * (1.0 - score) * weights.weight(label)
        is_doubtful = IN_DOUBT[0] <= score <= IN_DOUBT[1]
        objects += is_doubtful
        if weights.is_rare(label) and score >= IN_DOUBT[0] and (rare is None or score > rare[0]):
            rare = score, label
    if rare is None:
        return Doubt(amount, objects)
    return Doubt(amount, objects, rare[1], weights.counts.get(rare[1], 0))


def shares(values: FloatArray) -> FloatArray:
    """Return each value's place among all as a share 0..1, equal values in the middle of their places."""
    if not len(values):
        return np.zeros(0, np.float32)
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, "left")
    up_to = np.searchsorted(ordered, values, "right")
    places: FloatArray = ((below + up_to - 1) / 2 / max(1, len(values) - 1)).astype(np.float32)
    return places
