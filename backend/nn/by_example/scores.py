"""From the fit of a window to a score that is about the chance of a hit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import FloatArray

GROUND_QUANTILE = 0.999
"""Of the fits of ground: what lies above is taken for a thing now and then."""
LOST_ON_NEW_THINGS = 0.75
"""Share of its fit that a thing keeps which was not learned from, for want of a second one to measure it."""
STEEPNESS = 2.0
"""Log odds of a typical thing; those of ground at its quantile are as far below zero."""
_LEAST_GAP = 0.1


@dataclass(frozen=True)
class ScoreMap:
    """A logistic curve: `middle` has the score 0.5, and one `half` more has the log odds STEEPNESS."""

    middle: float
    half: float

    def scores(self, fits: npt.ArrayLike) -> FloatArray:
        """Return scores 0..1 of fits."""
        log_odds = STEEPNESS * (np.asarray(fits, dtype=np.float64) - self.middle) / self.half
        return (1 / (1 + np.exp(-np.clip(log_odds, -30, 30)))).astype(np.float32)

    def fit_of(self, score: float) -> float:
        """Return the fit of a score; the bounds 0 and 1 have those of scores very near to them."""
        bounded = min(max(score, 1e-6), 1 - 1e-6)
        return self.middle + self.half * float(np.log(bounded / (1 - bounded))) / STEEPNESS


def score_map(held_out_fits: FloatArray, ground_fits: FloatArray) -> ScoreMap:
    """Return the curve from the best fit of each thing [N >= 1] and the fits of windows of ground [M].

    held_out_fits: by what was learned without the thing; of a lone thing, by what was learned from it.
    """
    thing = float(np.median(held_out_fits))
    if len(held_out_fits) == 1:
        thing *= LOST_ON_NEW_THINGS
    ground = float(np.quantile(ground_fits, GROUND_QUANTILE)) if len(ground_fits) else 0.0
    return ScoreMap((thing + ground) / 2, max(thing - ground, _LEAST_GAP) / 2)
