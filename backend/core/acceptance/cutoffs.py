"""From which score up what is found is right as often as somebody wants it to be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.core.acceptance.beta import beta_quantile
from backend.core.geometry.instances import BoolArray, FloatArray, IntArray

SURE = 0.75
"""How sure it is that a label's accepted objects are right as often as wanted."""
SCORE_COUNTS = 4.0
"""What a version's scores say of its own precision counts as much as so many held-out objects do."""
LEAST_OBJECTS = 5
"""So many objects of a label have to be found in held-out images before any of it is accepted unseen."""
_LEAST_PRIOR = 0.02


@dataclass(frozen=True)
class Cutoff:
    """From which score up the objects of a label are accepted, and what that was concluded from.

    score: None where no score is high enough; 0 where whatever is found is, as far down as was looked.
    objects, right: how many of the held-out images' detections lie above it, and how many of these are right.
    precision: what is expected of others above it.
    """

    score: float | None
    objects: int = 0
    right: int = 0
    precision: float = 0.0


def cutoffs(
    scores: FloatArray, labels: IntArray, hits: BoolArray, label_count: int, wanted: float
) -> tuple[Cutoff, ...]:
    """Return the lowest score of each label from which detections are right often enough.

    scores [N], labels [N] and hits [N] (whether each is right) of detections in images that the version did
    not learn from. wanted: the precision, below 1. The bound is the quantile of a beta distribution: of what
    the held-out objects say, and, as SCORE_COUNTS more, of what the scores say themselves. A label needs
    fewer objects above a score the higher that is.
    """
    return tuple(
        _cutoff(scores[labels == label], hits[labels == label], wanted) for label in range(label_count)
    )


def _cutoff(scores: FloatArray, hits: BoolArray, wanted: float) -> Cutoff:
    order = np.argsort(-scores, kind="stable")
    ranked, right = scores[order].astype(np.float64), np.cumsum(hits[order])
    counts = np.arange(1, len(ranked) + 1)
    believed = np.cumsum(ranked) / counts
    for k in range(len(ranked) - 1, LEAST_OBJECTS - 2, -1):
        if k + 1 < len(ranked) and ranked[k + 1] == ranked[k]:
            continue
        if (right[k] + SCORE_COUNTS) / (counts[k] + SCORE_COUNTS) < wanted:
            continue
        a = right[k] + SCORE_COUNTS * believed[k]
        b = counts[k] - right[k] + max(SCORE_COUNTS * (1 - believed[k]), _LEAST_PRIOR)
        if beta_quantile(1 - SURE, a, b) >= wanted:
            below = float(ranked[k + 1]) if k + 1 < len(ranked) else 0.0
            lowest = (float(ranked[k]) + below) / 2 if below else 0.0
            return Cutoff(lowest, int(counts[k]), int(right[k]), float(a / (a + b)))
    return Cutoff(None)
