"""Scores that mean something, so that 0.30 is a sensible cut: fitted in two steps.

What was learned from tells by many objects how a project's labels answer to raw scores: a network of
ten images may be sure of nothing (its raw scores then stay low even there) or of much, and where annotators
leave half of the things out, a good box is often none. How much less is true of new images, the held-out ones
tell; where none is held out, those that joined late: what was said of them before they taught.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import numpy as np

from backend.core.geometry.instances import Detections, FloatArray, TrainingTarget
from backend.core.geometry.matching import scored_hits
from backend.nn.detector.heads.score_map import DEFAULT_CUT, ScoreMap

OBJECTS_MIN = 8
"""Fewer objects than this say little."""
CANDIDATES_PER_OBJECT = 2
# What is believed before any object was seen, and how many objects' worth of proof it takes to move it.
EXPECTED_SLOPE = 4.0
SLOPE_STRENGTH, OFFSET_STRENGTH = 2.0, 6.0
# However little scores tell, a higher one is never meant to be worse; and less than this cannot be what was
# learned, but a network that is sure of nonsense, which must not hide what it says of new images.
SLOPE_MIN, LEARNED_SLOPE_MIN = 0.2, 1.0
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
# So many new objects move the cut half of the way to where precision and recall meet among them.
BALANCE_STRENGTH = 20
SURE_STANDARD_ERRORS = 2.0
"""By how many standard errors another reading must be better on the held-out objects."""
KNOTS = np.linspace(-4.0, 3.0, 29)

Reading = TypeVar("Reading")


class FittedTo(Enum):
    """Which images a score map was fitted to, the most telling first."""

    HELD_OUT = "held_out"
    LEARNED_AND_LATE = "learned_and_late"
    LEARNED = "learned"
    NOTHING = "nothing"


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


def sample_learned(targets: Sequence[TrainingTarget]) -> list[int]:
    """Return the positions of at most LEARNED_IMAGES_MAX of the images that were learned from.

    Evenly from all of them, since neighbours are often alike; at least half show objects, if so many do.
    """
    if len(targets) <= LEARNED_IMAGES_MAX:
        return list(range(len(targets)))
    shown = [i for i, target in enumerate(targets) if len(target)]
    empty = [i for i, target in enumerate(targets) if not len(target)]
    share = max(round(LEARNED_IMAGES_MAX * len(shown) / len(targets)), LEARNED_IMAGES_MAX // 2)
    shown_count = max(min(share, len(shown)), LEARNED_IMAGES_MAX - len(empty))
    return sorted(_spread(shown, shown_count) + _spread(empty, LEARNED_IMAGES_MAX - shown_count))


def _spread(positions: Sequence[int], count: int) -> list[int]:
    return [positions[i] for i in np.linspace(0, len(positions) - 1, count).round().astype(int)]


def fit_score_map(
    learned: Sequence[Detections], learned_targets: Sequence[TrainingTarget], new_map: ScoreMap | None = None
) -> ScoreMap | None:
    """Return the map from raw logits to calibrated ones; None where too few objects are known.

    learned: detections of images that were learned from, with uncalibrated scores, down to a low threshold.
    The chance of a hit there is a logistic function of the raw logit (Platt, 1999). new_map: what its logits
    mean on new images, as `fit_new_map` returns it; without, they are meant a little lower.
    """
    scores, _, hits, objects = scored_hits(learned, learned_targets)
    slope, offset = _fit_learned(scores, hits, objects)
    if new_map is not None:
        raw = (np.array(new_map.raw_logits) - offset) / slope
        return ScoreMap(tuple(float(v) for v in raw), new_map.calibrated_logits)
    return _curve(slope, offset + LEARNED_OFFSET) if _suffice(objects, hits) else None


def fit_new_map(
    learned: Sequence[Detections],
    learned_targets: Sequence[TrainingTarget],
    new: Sequence[Detections],
    new_targets: Sequence[TrainingTarget],
) -> ScoreMap | None:
    """Return the map from the logits of the curve of images that were learned from to those of new ones.

    All are detections of one network, as `fit_score_map` takes them. None where nothing was found or nothing
    is to be found in the new ones, and where both sides have too few objects. First the chance of a hit is
    fitted as a logistic function; then the part about the cut is bent so that precision and recall of the new
    ones meet near DEFAULT_CUT, where someone who never moves the threshold stands. The map of images that
    join later serves the network that comes out in the end: how far the curve of what it learned flatters is
    what carries over.
    """
    learned_scores, _, learned_hits, learned_objects = scored_hits(learned, learned_targets)
    scores, _, hits, objects = scored_hits(new, new_targets)
    if not objects or not len(scores):
        return None
    is_enough = _suffice(objects, hits)
    if not is_enough and not _suffice(learned_objects, learned_hits):
        return None
    learned_slope, learned_offset = _fit_learned(learned_scores, learned_hits, learned_objects)
    logits, knots = (learned_slope * raw + learned_offset for raw in (_logit(scores), KNOTS))
    count = CANDIDATES_PER_OBJECT * objects
    slope, offset = _fit_logistic(logits, hits, count, LEARNED_SCORES, SLOPE_MIN / learned_slope)
    cut_logit = math.log(DEFAULT_CUT / (1 - DEFAULT_CUT))
    plain_cut = (cut_logit - offset) / slope
    # Precision and recall of a dozen objects jump by tenths, so their meeting point counts only in part, and
    # that of fewer not at all.
    trust = objects / (objects + BALANCE_STRENGTH) if is_enough else 0.0
    cut = plain_cut + trust * (_balanced_cut(logits, hits, objects, plain_cut) - plain_cut)
    at = np.sort(np.concatenate([knots, [cut - 0.01, cut]]))
    calibrated = np.clip(slope * at + offset, -9.0, 9.0)
    if cut > plain_cut:
        excess = slope * cut + offset - cut_logit
        calibrated = np.where(at < cut, calibrated - excess, calibrated)
    else:
        calibrated = np.where(at >= cut, np.maximum(calibrated, cut_logit), calibrated)
    return _strictly_rising(at, _with_tail(at, calibrated, TAIL_SLOPE / learned_slope))


def _suffice(objects: int, hits: np.ndarray) -> bool:
    return min(objects, int(hits.sum())) >= OBJECTS_MIN


def _fit_learned(scores: FloatArray, hits: np.ndarray, objects: int) -> tuple[float, float]:
    """Return slope and offset of the chance of a hit by raw logit: without objects, what is expected."""
    return _fit_logistic(_logit(scores), hits, CANDIDATES_PER_OBJECT * objects, RAW_SCORES, LEARNED_SLOPE_MIN)


def expected_score_map() -> ScoreMap:
    """Return the map for networks that no image can judge."""
    return _curve(EXPECTED_SLOPE, UNJUDGED_OFFSET)


def _curve(slope: float, offset: float) -> ScoreMap:
    calibrated = np.clip(slope * KNOTS + offset, -9.0, 9.0)
    return _strictly_rising(KNOTS, _with_tail(KNOTS, calibrated, TAIL_SLOPE))


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


def _fit_logistic(
    logits: FloatArray, hits: np.ndarray, count: int, expected: Expected, slope_min: float
) -> tuple[float, float]:
    """Return slope >= slope_min and offset of P(hit | logit) over the `count` best detections.

    The endless tail of sure misses would flatten the curve just where scores are read. The few objects of a
    small project move it from what is expected only as far as they can prove.
    """
    best = np.argsort(-logits, kind="stable")[:count]
    x, y = logits[best].astype(np.float64), hits[best].astype(np.float64)
    ones = np.ones_like(x)
    prior = np.array([expected.slope, expected.offset])
    strength = np.array([expected.slope_strength, expected.offset_strength])
    slope, offset = _likeliest(np.stack([x, ones], axis=1), np.zeros_like(x), y, prior, strength)
    if slope < slope_min:
        slope = slope_min
        (offset,) = _likeliest(ones[:, None], slope * x, y, prior[1:], strength[1:])
    return float(slope), float(offset)


def _likeliest(
    design: np.ndarray, base: np.ndarray, hits: np.ndarray, prior: np.ndarray, strength: np.ndarray
) -> np.ndarray:
    """Return theta [K] that makes hits [N] likeliest, P = sigmoid(base + design @ theta), float [N], [N, K].

    prior, strength [K]: of a normal distribution of theta, its mean and inverse variance. By Newton's method
    with halved steps: where hits and misses nearly separate, full ones swing between two points for good.
    """

    def cost(theta: np.ndarray) -> float:
        z = base + design @ theta
        return float(np.logaddexp(0, z).sum() - hits @ z + strength @ (theta - prior) ** 2 / 2)

    theta = prior
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(base + design @ theta, -30, 30)))
        gradient = design.T @ (p - hits) + strength * (theta - prior)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + np.diag(strength)
        step = np.linalg.solve(hessian, gradient)
        while np.abs(step).max() >= 1e-6 and cost(theta - step) > cost(theta):
            step = step / 2
        theta = theta - step
        if np.abs(step).max() < 1e-6:
            break
    return theta


def _with_tail(at: np.ndarray, calibrated: np.ndarray, tail_slope: float) -> np.ndarray:
    """Let low scores fall off gently: who asks for everything down to 0.01 wants the long tail too."""
    top = math.log(TAIL_SCORE / (1 - TAIL_SCORE))
    start = float(np.interp(top, calibrated, at))
    return np.where(calibrated < top, top + tail_slope * (at - start), calibrated)


def _balanced_cut(logits: FloatArray, hits: np.ndarray, objects: int, plain_cut: float) -> float:
    """Return the logit nearest to plain_cut at which precision and recall are at most MAX_GAP apart."""
    order = np.argsort(-logits, kind="stable")
    found = np.cumsum(hits[order])
    gap = np.abs(found / np.arange(1, len(order) + 1) - found / objects)
    kept = int((logits >= plain_cut).sum())
    if kept and gap[kept - 1] <= MAX_GAP:
        return plain_cut
    fitting = np.flatnonzero(gap <= max(MAX_GAP, float(gap.min())))
    nearest = fitting[np.argmin(np.abs(logits[order][fitting] - plain_cut))]
    return float(logits[order][nearest])


def _strictly_rising(at: np.ndarray, calibrated: np.ndarray) -> ScoreMap:
    at, first = np.unique(at, return_index=True)
    rising = calibrated[first].astype(np.float64)
    for i in range(1, len(rising)):
        rising[i] = max(rising[i], rising[i - 1] + 1e-3)
    return ScoreMap(tuple(float(v) for v in at), tuple(float(v) for v in rising))


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
