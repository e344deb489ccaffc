"""What the network's certainty is worth on images that it has not learned from.

Temperature scaling where one option is chosen, Platt's logistic curve where several may be. Sources: Guo et
al., arXiv 1706.04599, sec. 4; Platt 1999. Both with a prior, so that a dozen images move them a little only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.core.answers.options import Chances, Form

Array = npt.NDArray[np.float64]
SLOPES = np.exp(np.linspace(math.log(0.15), math.log(4.0), 45))
OFFSETS = np.linspace(-2.0, 2.0, 33)
USUAL_SLOPE = 1.0
SLOPE_DEVIATION, OFFSET_DEVIATION = 0.4, 0.5
"""How far the logarithm of the slope, and the offset, usually lie from the usual."""
LEAST_CHANCE = 1e-6


@dataclass(frozen=True)
class Curve:
    """From a logit to a calibrated one: slope times it, plus offset where an option stands for itself."""

    slope: float
    offset: float = 0.0


AS_IT_IS = Curve(1.0)


def fit_curve(found: Sequence[Chances], taught: Sequence[Sequence[int]]) -> Curve:
    """Return the likeliest curve for uncalibrated chances of images and the options chosen in them."""
    if not found:
        return Curve(USUAL_SLOPE)
    if found[0].question.form is Form.MULTIPLE:
        return _fit_alone(found, taught)
    return _fit_exclusive(found, taught)


def _fit_alone(found: Sequence[Chances], taught: Sequence[Sequence[int]]) -> Curve:
    chances = np.clip(np.array([one.values for one in found]), LEAST_CHANCE, 1 - LEAST_CHANCE)
    logits = np.log(chances / (1 - chances)).ravel()
    hits = np.array([[k in mine for k in range(chances.shape[1])] for mine in taught]).ravel()
    z = SLOPES[:, None, None] * logits + OFFSETS[None, :, None]
    cost = (np.logaddexp(0, z) - hits * z).sum(axis=2) + _doubt_slope()[:, None]
    cost = cost + ((OFFSETS / OFFSET_DEVIATION) ** 2 / 2)[None]
    slope, offset = np.unravel_index(int(cost.argmin()), cost.shape)
    return Curve(round(float(SLOPES[slope]), 4), round(float(OFFSETS[offset]), 4))


def _fit_exclusive(found: Sequence[Chances], taught: Sequence[Sequence[int]]) -> Curve:
    """Look at the options at the top: those below them share their curve."""
    question = found[0].question
    top = [position for position, parent in enumerate(question.parents) if parent < 0]
    logs = np.log(np.clip(np.array([one.values for one in found])[:, top], LEAST_CHANCE, 1))
    cost = _doubt_slope()
    for row, chosen in zip(logs, taught, strict=True):
        right = [top.index(question.way_to(position)[0]) for position in chosen]
        if right:
            scaled = SLOPES[:, None] * row[None]
            cost = cost + np.logaddexp.reduce(scaled, axis=1) - scaled[:, right].mean(axis=1)
    return Curve(round(float(SLOPES[int(cost.argmin())]), 4))


def _doubt_slope() -> Array:
    doubt: Array = (np.log(SLOPES / USUAL_SLOPE) / SLOPE_DEVIATION) ** 2 / 2
    return doubt
