"""From which score points are shown: so high that new images rarely get one that is not there."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import BoolArray
from backend.nn.detector.heads.score_map import DEFAULT_THRESHOLD, LOGIT_LIMIT, ScoreMap

INVENTED_SHARE = 0.02
"""At most this share of the points that are shown is not there."""
USUAL_LOGIT = math.log(0.4 / 0.6)
"""Where points begin when too few images are held back to tell."""
LOWEST_LOGIT, HIGHEST_LOGIT = math.log(0.25 / 0.75), math.log(0.7 / 0.3)
"""A few dozen points prove no threshold beyond these."""
LEAST_HITS = 12


def shifted_scores(threshold_logit: float) -> ScoreMap:
    """Return the map by which a raw logit becomes the default threshold."""
    shift = math.log(DEFAULT_THRESHOLD / (1 - DEFAULT_THRESHOLD)) - threshold_logit
    return ScoreMap((-LOGIT_LIMIT, LOGIT_LIMIT), (-LOGIT_LIMIT + shift, LOGIT_LIMIT + shift))


def safe_logit(logits: npt.NDArray[np.float64], hits: BoolArray) -> float:
    """Return the lowest logit above which hardly any candidate [K] of held-out images misses."""
    if hits.sum() < LEAST_HITS:
        return USUAL_LOGIT
    order = np.argsort(-logits, kind="stable")
    ranked, right = logits[order], hits[order]
    is_safe = np.cumsum(~right) <= INVENTED_SHARE * np.arange(1, len(right) + 1)
    last = int(np.flatnonzero(is_safe & right).max(initial=-1))
    if last < 0:
        return HIGHEST_LOGIT
    below = ranked[last + 1] if last + 1 < len(ranked) else -LOGIT_LIMIT
    return float(np.clip((ranked[last] + below) / 2, LOWEST_LOGIT, HIGHEST_LOGIT))


USUAL_SCORES = shifted_scores(USUAL_LOGIT)
"""Scores as long as no new image tells where points begin."""
