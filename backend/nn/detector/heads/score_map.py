"""From class logits to scores that mean something: the one place where logits become scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.core.geometry.instances import FloatArray, TrainingTarget

LOGIT_LIMIT = 12.0
DEFAULT_THRESHOLD = 0.30
"""The default confidence threshold, which calibrated scores are meant for."""
SCORE_FLOOR = 0.05
"""Candidates down to here count as objects that may have been missed when an image is scored."""


@dataclass(frozen=True)
class ScoreMap:
    """A rising, piecewise linear map between the network's logits and the logits of calibrated scores.

    raw_logits and calibrated_logits: knots, both strictly rising, at least two; beyond the outer knots the
    outer pieces go on.
    """

    raw_logits: tuple[float, ...] = (-LOGIT_LIMIT, LOGIT_LIMIT)
    calibrated_logits: tuple[float, ...] = (-LOGIT_LIMIT, LOGIT_LIMIT)

    def __post_init__(self) -> None:
        if len(self.raw_logits) != len(self.calibrated_logits) or len(self.raw_logits) < 2:
            raise ValueError("a score map needs two knots or more, as many raw as calibrated")
        for knots in (self.raw_logits, self.calibrated_logits):
            if not np.all(np.isfinite(knots)) or not np.all(np.diff(knots) > 0):
                raise ValueError(f"knots must rise strictly, got {knots}")

    def logits_to_scores(self, logits: FloatArray) -> FloatArray:
        """Return calibrated scores in 0..1 of raw logits, any shape, order kept."""
        calibrated = _interpolate(logits, self.raw_logits, self.calibrated_logits)
        return (1 / (1 + np.exp(-np.clip(calibrated, -30, 30)))).astype(np.float32)

    def score_to_logit(self, score: float) -> float:
        """Return the raw logit whose calibrated score is `score`."""
        score = min(max(score, 1e-6), 1 - 1e-6)
        wanted = np.array([np.log(score / (1 - score))])
        return float(_interpolate(wanted, self.calibrated_logits, self.raw_logits)[0])

    def as_card(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {"raw_logits": list(self.raw_logits), "calibrated_logits": list(self.calibrated_logits)}

    @classmethod
    def from_card(cls, values: Mapping[str, Any]) -> ScoreMap:
        """Read what `as_card` wrote. Raises KeyError, TypeError or ValueError where it is something else."""
        raw, calibrated = values["raw_logits"], values["calibrated_logits"]
        return cls(tuple(float(v) for v in raw), tuple(float(v) for v in calibrated))


RAW_SCORES = ScoreMap()
"""Scores as the network gives them."""


def _interpolate(values: FloatArray, xs: tuple[float, ...], ys: tuple[float, ...]) -> FloatArray:
    out = np.interp(values, xs, ys)
    low_slope = (ys[1] - ys[0]) / (xs[1] - xs[0])
    high_slope = (ys[-1] - ys[-2]) / (xs[-1] - xs[-2])
    out = np.where(values < xs[0], ys[0] + (values - xs[0]) * low_slope, out)
    return np.where(values > xs[-1], ys[-1] + (values - xs[-1]) * high_slope, out)


def expected_f1(scores: FloatArray, threshold: float, empty_share: float = 0.5) -> float:
    """Return the F1 an image is likely to reach when scores below `threshold` are left out.

    scores [N]: of all candidates after suppression, also those below the threshold, which are the objects
    likely to be missed. empty_share: of images without any object, 0..1. Without any candidate the image is
    taken for empty and solved: 1.
    """
    kept = scores[scores >= threshold]
    wanted = float(scores.sum())
    if not len(kept):
        # Right when nothing is there: the chance that every candidate is false, which is the smaller the
        # fewer images are empty (Bayes). Else images of which nothing is known would pass for solved.
        none_true = float(np.prod(1 - scores.astype(np.float64)))
        empty, other = none_true * empty_share, (1 - none_true) * (1 - empty_share)
        return empty / (empty + other)
    return float(2 * kept.sum() / (len(kept) + wanted))


def image_score(scores: FloatArray, confidence_threshold: float, empty_share: float) -> float:
    """Return `expected_f1` of an image at a threshold, the default one at least.

    scores [N]: of all candidates. The score is the same however deep one asks, so that images of different
    requests can be sorted together.
    """
    counted = scores[scores >= SCORE_FLOOR]
    return expected_f1(counted, max(confidence_threshold, DEFAULT_THRESHOLD), empty_share)


def empty_share(targets: Sequence[TrainingTarget]) -> float:
    """Return the share of images without objects that is to be expected among new ones: never 0, never 1."""
    empty = sum(not len(target) for target in targets)
    return round((empty + 0.5) / (len(targets) + 1), 4)
