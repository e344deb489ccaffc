"""Scores that mean something, so that 0.30 is a sensible threshold.

z is the raw logit of a detection, y whether it hits an object, s the logistic function. Two curves are
fitted, each to the best few detections per object, and each with a normal prior, which the few objects of a
small project move only as far as they prove (after Platt, 1999):

    images that were learned from    P(y | z) = s(u),  u = a z + b    prior of a and b: LEARNED
    new images                       P(y | u) = s(v),  v = c u + d    prior of c and d: NEW

The first tells by many objects how a project's labels answer to raw scores: a network of ten images may be
sure of nothing, and where annotators leave half of the things out, a good box is often none. The second
tells how much less is true of new images: held-out ones, or those that joined late, before they taught. The
calibrated logit is v, bent about the threshold and in the tail (`_bent`). Without new images it follows the
prior of c and d; where too few objects are known of any image, it follows both priors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import BoolArray, Detections, FloatArray, TrainingTarget
from backend.core.geometry.matching import scored_hits
from backend.nn.detector.heads.score_map import DEFAULT_THRESHOLD, ScoreMap
from backend.training.judging.logistic import likeliest

OBJECTS_MIN = 8
"""Fewer objects than this say little."""
CANDIDATES_PER_OBJECT = 2
"""So many are fitted to: the endless tail of sure misses would flatten the curve where it is read."""
MAX_GAP = 0.04
"""Precision and recall this close count as balanced."""
BALANCE_STRENGTH = 20
"""So many new objects move the threshold half of the way to where precision and recall meet among them."""
TAIL_SCORE, TAIL_SLOPE = 0.05, 0.5
"""Below this score v falls by so much for each z: who asks for everything wants the long tail too."""
KNOTS = np.linspace(-4.0, 3.0, 29)
"""The values of z between which the map is linear."""
STEP, RISE = 0.01, 0.001
"""How short a jump is, and how little a flat part rises: a score map rises strictly."""

Array = npt.NDArray[np.float64]


class FittedTo(Enum):
    """Which images a score map was fitted to, the most telling first."""

    HELD_OUT = "held_out"
    LEARNED_AND_LATE = "learned_and_late"
    LEARNED = "learned"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Line:
    """A line from one logit to another."""

    slope: float
    offset: float

    def at(self, x: float) -> float:
        """Return its value."""
        return self.slope * x + self.offset

    def reaches(self, y: float) -> float:
        """Return where it has this value."""
        return (y - self.offset) / self.slope


@dataclass(frozen=True)
class Prior:
    """What is believed of a curve before any object was seen, and how firmly, as inverse variances.

    slope_min: a flatter curve is never fitted.
    """

    line: Line
    slope_strength: float
    offset_strength: float
    slope_min: float


# The raw score is an expected IoU, and an IoU of 0.5 is a hit: a steep curve, centred on 0.5. A curve flatter
# than 1 would be that of a network sure of nonsense, which must not hide what it says of new images.
LEARNED = Prior(Line(4.0, 0.0), slope_strength=2.0, offset_strength=6.0, slope_min=1.0)
# What was learned from is known a little better than what is new. However little scores tell, a higher one is
# never meant to be worse.
NEW = Prior(Line(1.0, -0.3), slope_strength=4.0, offset_strength=4.0, slope_min=0.2)


def fit_score_map(
    learned: Sequence[Detections], learned_targets: Sequence[TrainingTarget], new_map: ScoreMap | None = None
) -> ScoreMap | None:
    """Return the map from raw logits z to calibrated ones v; None where too few objects are known.

    learned: detections of images that were learned from, with uncalibrated scores, down to a low threshold.
    new_map: from u to v, as `fit_new_map` returns it.
    """
    scores, _, hits, objects = scored_hits(learned, learned_targets)
    curve = _fit(_logit(scores), hits, objects, LEARNED)
    if new_map is not None:
        return ScoreMap(tuple(curve.reaches(u) for u in new_map.raw_logits), new_map.calibrated_logits)
    return _on_new_images(curve) if _suffice(objects, hits) else None


def fit_new_map(
    learned: Sequence[Detections],
    learned_targets: Sequence[TrainingTarget],
    new: Sequence[Detections],
    new_targets: Sequence[TrainingTarget],
) -> ScoreMap | None:
    """Return the map from the logits u of the curve of learned images to those of new ones, v.

    All are detections of one network, as `fit_score_map` takes them. None where nothing was found or nothing
    is to be found in the new ones, and where both sides have too few objects. The map of images that join
    later serves the network that comes out in the end: how far the curve of what it learned flatters is what
    carries over.
    """
    learned_scores, _, learned_hits, learned_objects = scored_hits(learned, learned_targets)
    scores, _, hits, objects = scored_hits(new, new_targets)
    if not objects or not len(scores):
        return None
    is_enough = _suffice(objects, hits)
    if not is_enough and not _suffice(learned_objects, learned_hits):
        return None
    raw = _fit(_logit(learned_scores), learned_hits, learned_objects, LEARNED)
    logits = raw.slope * _logit(scores) + raw.offset
    curve = _fit(logits, hits, objects, NEW, slope_min=NEW.slope_min / raw.slope)
    plain_crossing = curve.reaches(_logit_of(DEFAULT_THRESHOLD))
    # Precision and recall of a dozen objects jump by tenths, so their meeting point counts only in part, and
    # that of fewer not at all.
    trust = objects / (objects + BALANCE_STRENGTH) if is_enough else 0.0
    balanced = _balanced_crossing(logits, hits, objects, plain_crossing)
    crossing = plain_crossing + trust * (balanced - plain_crossing)
    return _bent(curve, plain_crossing, crossing, raw.slope * KNOTS + raw.offset, TAIL_SLOPE / raw.slope)


def expected_score_map() -> ScoreMap:
    """Return the map for networks that no image can judge: both curves are what is expected."""
    return _on_new_images(LEARNED.line)


def _on_new_images(curve: Line) -> ScoreMap:
    """Return the map of a curve of learned images, with what is expected of new ones."""
    line = Line(curve.slope * NEW.line.slope, curve.offset * NEW.line.slope + NEW.line.offset)
    crossing = line.reaches(_logit_of(DEFAULT_THRESHOLD))
    return _bent(line, crossing, crossing, KNOTS, TAIL_SLOPE)


def _suffice(objects: int, hits: BoolArray) -> bool:
    return min(objects, int(hits.sum())) >= OBJECTS_MIN


def _fit(
    logits: Array, hits: BoolArray, objects: int, prior: Prior, *, slope_min: float | None = None
) -> Line:
    """Return the line whose logistic function is the chance that a detection hits, by its logit [N]."""
    best = np.argsort(-logits, kind="stable")[: CANDIDATES_PER_OBJECT * objects]
    x, y = logits[best], hits[best].astype(np.float64)
    ones, nothing = np.ones_like(x), np.zeros_like(x)
    mean = np.array([prior.line.slope, prior.line.offset])
    strength = np.array([prior.slope_strength, prior.offset_strength])
    slope, offset = likeliest(np.stack([x, ones], axis=1), nothing, y, mean, strength)
    least = prior.slope_min if slope_min is None else slope_min
    if slope < least:
        slope = least
        (offset,) = likeliest(ones[:, None], slope * x, y, mean[1:], strength[1:])
    return Line(float(slope), float(offset))


def _balanced_crossing(logits: Array, hits: BoolArray, objects: int, plain_crossing: float) -> float:
    """Return the logit nearest to plain_crossing at which precision and recall are at most MAX_GAP apart."""
    order = np.argsort(-logits, kind="stable")
    found = np.cumsum(hits[order])
    gap = np.abs(found / np.arange(1, len(order) + 1) - found / objects)
    kept = int((logits >= plain_crossing).sum())
    if kept and gap[kept - 1] <= MAX_GAP:
        return plain_crossing
    fitting = np.flatnonzero(gap <= max(MAX_GAP, float(gap.min())))
    nearest = fitting[np.argmin(np.abs(logits[order][fitting] - plain_crossing))]
    return float(logits[order][nearest])


def _bent(line: Line, plain_crossing: float, crossing: float, knots: Array, tail_slope: float) -> ScoreMap:
    """Return the map of a line, bent to cross DEFAULT_THRESHOLD at `crossing` and not at plain_crossing.

    Someone who never moves the threshold stands there. A later crossing lowers all that lies below it; an
    earlier one lifts what lies between the two to the threshold. Below TAIL_SCORE it falls by tail_slope.
    """
    threshold, floor = _logit_of(DEFAULT_THRESHOLD), _logit_of(TAIL_SCORE)
    at = np.unique([*knots, crossing - STEP, crossing])
    bent = line.slope * at + line.offset
    if crossing > plain_crossing:
        bent[at < crossing] -= line.at(crossing) - threshold
    else:
        bent[at >= crossing] = np.maximum(bent[at >= crossing], threshold)
    start = float(np.interp(floor, bent, at))
    bent = np.where(bent < floor, floor + tail_slope * (at - start), bent)
    for k in range(1, len(bent)):
        bent[k] = max(bent[k], bent[k - 1] + RISE)
    return ScoreMap(tuple(at.tolist()), tuple(bent.tolist()))


def _logit(scores: FloatArray) -> Array:
    clipped = np.clip(np.asarray(scores, dtype=np.float64), 1e-6, 1 - 1e-6)
    logits: Array = np.log(clipped / (1 - clipped))
    return logits


def _logit_of(score: float) -> float:
    return math.log(score / (1 - score))
