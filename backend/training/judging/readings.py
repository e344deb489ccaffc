"""Which reading of a head's outputs surely fits held-out objects best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from backend.training.judging.calibration import OBJECTS_MIN

SURE_STANDARD_ERRORS = 2.0
"""By how many standard errors another reading must be better on the held-out objects."""

Reading = TypeVar("Reading")


def surest_reading(
    usual: Reading, others: Sequence[Reading], fits: Callable[[Reading], list[float]]
) -> Reading:
    """Return the reading that surely fits the held-out objects best.

    fits: how well each object is outlined by a reading, the same objects in the same order for all readings.
    A few dozen objects cannot tell neighbouring readings apart, so the usual one stays unless the same
    objects gain by another one clearly more than chance explains.
    """
    before = np.array(fits(usual))
    if len(before) < OBJECTS_MIN:
        return usual
    best, best_gain = usual, 0.0
    for other in others:
        gains = np.array(fits(other)) - before
        gain, standard_error = float(gains.mean()), float(gains.std(ddof=1)) / math.sqrt(len(gains))
        if gain > max(best_gain, SURE_STANDARD_ERRORS * standard_error):
            best, best_gain = other, gain
    return best
