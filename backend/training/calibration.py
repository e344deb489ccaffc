"""Scores that mean something, so that 0.30 is a sensible cut: fitted in two steps.

What was learned from tells by hundreds of objects how a project's labels answer to raw scores: a network of
ten images may be sure of nothing (its raw scores then stay low even there) or of much, and where annotators
leave half of the things out, a good box is often none. How much less is true of new images, the held-out ones
tell; where none is held out, those that joined late: what was said of them before they taught.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from backend.core.instances import Detections, FloatArray, TrainingTarget
from backend.nn.postprocess import MASK_CUT_LOGIT
from backend.nn.predictor import DEFAULT_CUT
from backend.nn.score_map import ScoreMap
from backend.training.metrics import matched_mask_ious, scored_hits

# Fewer objects than this say too little.
OBJECTS_MIN = 8
CANDIDATES_PER_OBJECT = 2
# What is believed before any object was seen, and how many objects' worth of proof it takes to move it.
EXPECTED_SLOPE = 4.0
SLOPE_STRENGTH, OFFSET_STRENGTH = 2.0, 6.0
# What was learned from is known a little better than what is new: how much lower logits are meant for that.
LEARNED_OFFSET = -0.3
LEARNED_IMAGES_MAX = 32
# How firmly that, and a slope of one, is believed against what new images say.
NEW_SLOPE_STRENGTH, NEW_OFFSET_STRENGTH = 4.0, 4.0
# Where even that shows too little.
UNJUDGED_OFFSET = -0.4
TAIL_SCORE, TAIL_SLOPE = 0.05, 0.5
# Precision and recall this close count as balanced.
MAX_GAP = 0.04
# So many held-out objects move the cut half of the way to where precision and recall meet among them.
BALANCE_STRENGTH = 20
MASK_CUTS = (-1.2, -0.8, 0.0, 0.4)
"""Where masks may end instead of at MASK_CUT_LOGIT."""
SURE_STANDARD_ERRORS = 2.0
"""By how many standard errors another cut must be better on the held-out objects."""
KNOTS = np.linspace(-4.0, 3.0, 29)


FittedTo = Literal["held_out", "learned_and_late", "learned", "nothing"]
"""Which images a score map was fitted to, the most telling first."""


@dataclass(frozen=True)
class Expected:
    """What is believed of P(hit | logit) before any object was seen, and how firmly (inverse variances)."""

    slope: float
    offset: float
    slope_strength: float
    offset_strength: float


# The raw score is an expected IoU, and an IoU of 0.5 is a hit: a steep curve, centred on 0.5.
RAW_SCORES = Expected(EXPECTED_SLOPE, 0.0, SLOPE_STRENGTH, OFFSET_STRENGTH)
LEARNED_SCORES = Expected(1.0, LEARNED_OFFSET, NEW_SLOPE_STRENGTH, NEW_OFFSET_STRENGTH)


@dataclass(frozen=True)
class Calibration:
    """How to read the network, and which images taught it: its scores, and where its masks end."""

    score_map: ScoreMap
    fitted_to: FittedTo
    mask_cut_logit: float = MASK_CUT_LOGIT

    def as_card(self) -> dict[str, Any]:
        """Return JSON-ready values under the names that `load_predictor` reads."""
        return {"score_map": self.score_map.as_card(), "mask_cut_logit": self.mask_cut_logit}


def fit_score_map(
    learned: Sequence[Detections], learned_targets: Sequence[TrainingTarget], new_map: ScoreMap | None = None
) -> ScoreMap | None:
    """Return the map from raw logits to calibrated ones; None where too few objects were learned or found.

    learned: detections of images that were learned from, with uncalibrated scores, down to a low threshold.
    The chance of a hit there is a logistic function of the raw logit (Platt, 1999). new_map: what its logits
    mean on new images, as `fit_new_map` returns it; without, they are meant a little lower.
    """
    curve = _learned_curve(learned, learned_targets)
    if curve is None:
        return None
    slope, offset = curve
    if new_map is None:
        return _curve(slope, offset + LEARNED_OFFSET)
    raw = (np.array(new_map.raw_logits) - offset) / slope
    return ScoreMap(tuple(float(v) for v in raw), new_map.calibrated_logits)


def fit_new_map(
    learned: Sequence[Detections],
    learned_targets: Sequence[TrainingTarget],
    new: Sequence[Detections],
    new_targets: Sequence[TrainingTarget],
) -> ScoreMap | None:
    """Return the map from the logits of the curve of images that were learned from to those of new ones.

    All are detections of one network, as `fit_score_map` takes them. None where either side has too few
    objects. First the chance of a hit is fitted as a logistic function; then the part about the cut is bent
    so that precision and recall of the new ones meet near DEFAULT_CUT, where someone who never moves the
    threshold stands. The map of images that join later serves the network that comes out in the end: how far
    the curve of what it learned flatters is what carries over.
    """
    curve = _learned_curve(learned, learned_targets)
    scores, _, hits, objects = scored_hits(new, new_targets)
    if curve is None or not objects or not len(scores):
        return None
    learned_slope, learned_offset = curve
    logits, knots = (learned_slope * raw + learned_offset for raw in (_logit(scores), KNOTS))
    slope, offset = _fit_logistic(logits, hits, CANDIDATES_PER_OBJECT * objects, LEARNED_SCORES)
    cut_logit = math.log(DEFAULT_CUT / (1 - DEFAULT_CUT))
    plain_cut = (cut_logit - offset) / slope
    # Precision and recall of a dozen objects jump by tenths, so their meeting point counts only in part, and
    # that of fewer not at all.
    enough = min(objects, hits.sum()) >= OBJECTS_MIN
    trust = objects / (objects + BALANCE_STRENGTH) if enough else 0.0
    cut = plain_cut + trust * (_balanced_cut(logits, hits, objects, plain_cut) - plain_cut)
    at = np.sort(np.concatenate([knots, [cut - 0.01, cut]]))
    calibrated = np.clip(slope * at + offset, -9.0, 9.0)
    if cut > plain_cut:
        excess = slope * cut + offset - cut_logit
        calibrated = np.where(at < cut, calibrated - excess, calibrated)
    else:
        calibrated = np.where(at >= cut, np.maximum(calibrated, cut_logit), calibrated)
    return _strictly_rising(at, _with_tail(at, calibrated, TAIL_SLOPE / learned_slope))


def _learned_curve(
    detections: Sequence[Detections], targets: Sequence[TrainingTarget]
) -> tuple[float, float] | None:
    """Return slope and offset of the chance of a hit by raw logit; None where too few objects are known."""
    scores, _, hits, objects = scored_hits(detections, targets)
    if objects < OBJECTS_MIN or hits.sum() < OBJECTS_MIN:
        return None
    return _fit_logistic(_logit(scores), hits, CANDIDATES_PER_OBJECT * objects, RAW_SCORES)


def expected_score_map() -> ScoreMap:
    """Return the map for networks that no image can judge."""
    return _curve(EXPECTED_SLOPE, UNJUDGED_OFFSET)


def _curve(slope: float, offset: float) -> ScoreMap:
    calibrated = np.clip(slope * KNOTS + offset, -9.0, 9.0)
    return _strictly_rising(KNOTS, _with_tail(KNOTS, calibrated, TAIL_SLOPE))


def fit_mask_cut(
    predict: Callable[[float], Sequence[Detections]], targets: Sequence[TrainingTarget]
) -> float:
    """Return the logit at which to end masks: the one that surely fits the held-out objects best.

    predict: gives the detections of the held-out images for a cut. Only objects that are found count. A few
    dozen objects cannot tell neighbouring cuts apart, so the usual one stays unless the same objects gain by
    another one clearly more than chance explains.
    """
    usual = _mask_ious(predict(MASK_CUT_LOGIT), targets)
    if len(usual) < OBJECTS_MIN:
        return MASK_CUT_LOGIT
    best_cut, best_gain = MASK_CUT_LOGIT, 0.0
    for cut in MASK_CUTS:
        # The cut moves no box: the same objects are found, in the same order.
        gains = _mask_ious(predict(cut), targets) - usual
        gain, standard_error = float(gains.mean()), float(gains.std(ddof=1)) / math.sqrt(len(gains))
        if gain > max(best_gain, SURE_STANDARD_ERRORS * standard_error):
            best_cut, best_gain = cut, gain
    return best_cut


def _mask_ious(detections: Sequence[Detections], targets: Sequence[TrainingTarget]) -> FloatArray:
    """Return the mask IoU of every object that was found, float [N]."""
    pairs = zip(detections, targets, strict=True)
    return np.array([iou for found, target in pairs for iou in matched_mask_ious(found, target)], np.float32)


def _fit_logistic(
    logits: FloatArray, hits: np.ndarray, count: int, expected: Expected
) -> tuple[float, float]:
    """Return slope > 0 and offset of P(hit | logit) over the `count` best detections.

    The endless tail of sure misses would flatten the curve just where scores are read. The few objects of a
    small project move it from what is expected only as far as they can prove.
    """
    best = np.argsort(-logits, kind="stable")[:count]
    x, y = logits[best].astype(np.float64), hits[best].astype(np.float64)
    theta = prior_theta = np.array([expected.slope, expected.offset])
    design = np.stack([x, np.ones_like(x)], axis=1)
    prior = np.diag([expected.slope_strength, expected.offset_strength])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ theta, -30, 30)))
        gradient = design.T @ (p - y) + prior @ (theta - prior_theta)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + prior
        step = np.linalg.solve(hessian, gradient)
        # Newton can overshoot where hits and misses separate.
        theta = theta - step / max(1.0, float(np.abs(step).max()) / 2.0)
        if np.abs(step).max() < 1e-6:
            break
    return float(max(theta[0], 0.2)), float(theta[1])


def _with_tail(raw: np.ndarray, calibrated: np.ndarray, tail_slope: float) -> np.ndarray:
    """Let low scores fall off gently: who asks for everything down to 0.01 wants the long tail too."""
    top = math.log(TAIL_SCORE / (1 - TAIL_SCORE))
    start = float(np.interp(top, calibrated, raw))
    return np.where(calibrated < top, top + tail_slope * (raw - start), calibrated)


def _balanced_cut(logits: FloatArray, hits: np.ndarray, objects: int, plain_cut: float) -> float:
    """Return the raw logit nearest to plain_cut at which precision and recall are at most MAX_GAP apart."""
    order = np.argsort(-logits, kind="stable")
    found = np.cumsum(hits[order])
    gap = np.abs(found / np.arange(1, len(order) + 1) - found / objects)
    kept = int((logits >= plain_cut).sum())
    if kept and gap[kept - 1] <= MAX_GAP:
        return plain_cut
    fitting = np.flatnonzero(gap <= max(MAX_GAP, float(gap.min())))
    nearest = fitting[np.argmin(np.abs(logits[order][fitting] - plain_cut))]
    return float(logits[order][nearest])


def _strictly_rising(raw: np.ndarray, calibrated: np.ndarray) -> ScoreMap:
    raw, first = np.unique(raw, return_index=True)
    rising = calibrated[first].astype(np.float64)
    for i in range(1, len(rising)):
        rising[i] = max(rising[i], rising[i - 1] + 1e-3)
    return ScoreMap(tuple(float(v) for v in raw), tuple(float(v) for v in rising))


def _logit(scores: FloatArray) -> np.ndarray:
    clipped = np.clip(np.asarray(scores, dtype=np.float64), 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped))


def expected_calibration_error(scores: FloatArray, hits: np.ndarray, bins: int = 10) -> float:
    """Return the mean gap between score and hit rate over equal bins of score, weighted by their size."""
    if not len(scores):
        return 0.0
    which = np.clip((scores * bins).astype(int), 0, bins - 1)
    error = 0.0
    for b in range(bins):
        mine = which == b
        if mine.any():
            error += abs(float(scores[mine].mean()) - float(hits[mine].mean())) * float(mine.mean())
    return error
