"""What an image's detections say of the objects drawn in it, and of the places where none is drawn: numbers.

Every number lies within a few units of 0 whatever the project is, so that weights of one project are of the
same size as those of another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import Detections, FloatArray, ImageSize, IntArray
from backend.core.second_look.drawn import Drawn, found_areas_px, found_ious

Array = npt.NDArray[np.float64]

NEAR_IOU = 0.1
"""What overlaps less has nothing to do with each other."""
MISSING_BELOW_IOU = 0.35
"""A detection that overlaps a drawn object more than this is that object, not a missing one."""
SAME_IOU = 0.5
LEAST_MISSING_SCORE = 0.05
"""Detections below it are not worth a look, however many there are."""
_LEAST_SCORE, _MOST_SCORE = 0.003, 0.997
_BORDER_PX = 2.0


@dataclass(frozen=True, eq=False)
class Habits:
    """What is usual in a project, by label [L]: log area in pixels, its spread, and how well it is found.

    support: how surely drawn objects of a label are found, as the mean of a logit. precision: the same of
    what is found under that label, by whether something is drawn there.
    """

    log_areas: Array
    spreads: Array
    support: Array
    precision: Array

    @classmethod
    def of(cls, drawn: Sequence[Drawn], found: Sequence[Detections], label_count: int) -> Habits:
        """Return the habits of all images; a label of few objects is taken for one like the others."""
        areas: list[list[float]] = [[] for _ in range(label_count)]
        support: list[list[float]] = [[] for _ in range(label_count)]
        hits: list[list[float]] = [[] for _ in range(label_count)]
        for objects, seen in zip(drawn, found, strict=True):
            ious = objects.ious_with(seen)
            sure = _support(ious, seen.scores)
            for label in range(label_count):
                mine = objects.labels[:, label]
                its = seen.label_indices == label
                areas[label] += np.log(objects.areas_px[mine]).tolist()
                support[label] += sure[np.ix_(mine, its)].max(axis=1, initial=0.0).tolist()
                strong = its & (seen.scores >= 0.3)
                hits[label] += (ious[:, strong].max(axis=0, initial=0.0) >= SAME_IOU).astype(float).tolist()
        every = np.array([a for some in areas for a in some] or [0.0])
        spread = max(float(every.std()), 0.2)
        return cls(
            np.array([_shrunk(a, float(every.mean())) for a in areas]),
            np.array(
                [
                    np.sqrt(_shrunk((np.square(np.array(a) - np.mean(a)) if a else []), spread**2))
                    for a in areas
                ]
            ),
            _logit(np.array([_shrunk(s, 0.5) for s in support])),
            _logit(np.array([_shrunk(h, 0.5) for h in hits])),
        )

    def oddness(self, areas_px: FloatArray, labels: Array) -> Array:
        """Return by how many spreads areas [N] differ from what is usual for labels, weights [N, L]."""
        share = labels / np.maximum(labels.sum(axis=1, keepdims=True), 1)
        distance = np.abs(np.log(areas_px)[:, None] - self.log_areas) / np.maximum(self.spreads, 0.1)
        oddness: Array = np.minimum((share * distance).sum(axis=1), 5.0)
        return oddness


OBJECT_EVIDENCE = 14
MISSING_EVIDENCE = 10


def evidence_of_objects(drawn: Drawn, found: Detections, habits: Habits) -> Array:
    """Return what is known of each drawn object, float [M, OBJECT_EVIDENCE]."""
    count = len(drawn)
    if not count:
        return np.zeros((0, OBJECT_EVIDENCE))
    ious, among = drawn.ious_with(found), drawn.ious_among()
    scores = np.asarray(found.scores, dtype=np.float64)
    support = _support(ious, scores)
    is_same = drawn.labels[:, found.label_indices]
    same, other = _best(support, is_same), _best(support, ~is_same)
    same_logit, other_logit = _logit(same), _logit(other)
    # The partner is what most likely is this object, whatever its label.
    near = np.where(ious >= NEAR_IOU, np.sqrt(ious) * scores, 0.0)
    partner = near.argmax(axis=1) if near.shape[1] else np.zeros(count, dtype=np.int64)
    has_partner = near.max(axis=1, initial=0.0) > 0
    partner_score = np.where(has_partner, _at(np.broadcast_to(scores, ious.shape), partner), 0.0)
    partner_iou = np.where(has_partner, _at(ious, partner), 0.0)
    off = 1 - partner_iou
    same_label = drawn.labels.astype(np.float64) @ drawn.labels.T.astype(np.float64) > 0
    twin = np.where(same_label, among, 0.0).max(axis=1, initial=0.0)
    neighbour = among.max(axis=1, initial=0.0)
    rival = _rival(ious, partner, has_partner)
    weights = drawn.labels.astype(np.float64)
    usual = (weights @ habits.support) / np.maximum(weights.sum(axis=1), 1)
    rows: Array = np.stack(
        [
            same_logit / 2,
            other_logit / 2,
            np.maximum(other_logit - same_logit, 0) / 2,
            _logit(partner_score) / 2,
            4 * off * partner_score,
            4 * np.maximum(off - 0.25, 0) * partner_score,
            2 * off,
            3 * twin,
            6 * np.maximum(twin - 0.5, 0),
            3 * neighbour,
            rival,
            habits.oddness(drawn.areas_px, weights) / 2,
            usual / 2,
            same_logit * usual / 8,
        ],
        axis=1,
    )
    return rows


def missing_candidates(drawn: Drawn, found: Detections) -> IntArray:
    """Return which detections [K] may be objects that nobody drew, the strongest of each place."""
    covered = drawn.ious_with(found).max(axis=0, initial=0.0)
    free = (covered < MISSING_BELOW_IOU) & (found.scores >= LEAST_MISSING_SCORE)
    order = [int(i) for i in np.argsort(-found.scores, kind="stable") if free[i]]
    ious = found_ious(found)
    kept: list[int] = []
    for i in order:
        if not kept or ious[i, kept].max() < SAME_IOU:
            kept.append(i)
    return np.array(kept, dtype=np.int64)


def evidence_of_missing(
    drawn: Drawn, found: Detections, candidates: IntArray, habits: Habits, size: ImageSize
) -> Array:
    """Return what is known of each of some detections [K], float [K, MISSING_EVIDENCE]."""
    if not len(candidates):
        return np.zeros((0, MISSING_EVIDENCE))
    scores = np.asarray(found.scores, dtype=np.float64)
    covered = drawn.ious_with(found)[:, candidates].max(axis=0, initial=0.0)
    ious = found_ious(found)[candidates]
    others = np.where((ious >= SAME_IOU), scores, 0.0)
    others[np.arange(len(candidates)), candidates] = 0
    stronger = np.where(scores > scores[candidates, None], ious, 0.0).max(axis=1, initial=0.0)
    boxes = found.boxes_xyxy_px[candidates]
    at_border = (
        (boxes[:, :2] <= _BORDER_PX).any(axis=1)
        | (boxes[:, 2] >= size.width - _BORDER_PX)
        | (boxes[:, 3] >= size.height - _BORDER_PX)
    )
    labels = np.zeros((len(candidates), len(habits.support)))
    labels[np.arange(len(candidates)), found.label_indices[candidates]] = 1
    logits = _logit(scores[candidates])
    rows: Array = np.stack(
        [
            logits / 2,
            np.maximum(logits, 0) / 2,
            4 * covered,
            _logit(others.max(axis=1, initial=0.0)) / 4,
            3 * stronger,
            at_border.astype(np.float64),
            at_border * logits / 4,
            habits.oddness(found_areas_px(found)[candidates], labels) / 2,
            labels @ habits.precision / 2,
            labels @ habits.support / 2,
        ],
        axis=1,
    )
    return rows


def _support(ious: FloatArray, scores: FloatArray | Array) -> Array:
    """Return how far each detection [N] speaks for each object [M]: its score, less where it is off."""
    fit = np.clip((np.asarray(ious, dtype=np.float64) - NEAR_IOU) / (SAME_IOU - NEAR_IOU), 0, 1)
    return fit * scores


def _best(support: Array, usable: npt.NDArray[np.bool_]) -> Array:
    best: Array = np.where(usable, support, 0.0).max(axis=1, initial=0.0)
    return best


def _at(values: npt.NDArray[np.floating], columns: IntArray) -> Array:
    if not values.shape[1]:
        return np.zeros(len(values))
    taken: Array = np.take_along_axis(np.asarray(values, dtype=np.float64), columns[:, None], axis=1)[:, 0]
    return taken


def _rival(ious: FloatArray, partner: IntArray, has_partner: npt.NDArray[np.bool_]) -> Array:
    """Return for each object whether its detection fits another object better: 1, else 0."""
    if not ious.shape[1]:
        return np.zeros(len(ious))
    best_of_detection = ious.max(axis=0)
    mine = _at(ious, partner)
    rival: Array = (has_partner & (best_of_detection[partner] > mine)).astype(np.float64)
    return rival


def _shrunk(values: Sequence[float] | Array, usual: float, strength: float = 5.0) -> float:
    """Return the mean of values, drawn to what is usual as `strength` further values would."""
    return (float(np.sum(values)) + strength * usual) / (len(values) + strength)


def _logit(chances: npt.NDArray[np.floating]) -> Array:
    clipped = np.clip(np.asarray(chances, dtype=np.float64), _LEAST_SCORE, _MOST_SCORE)
    logits: Array = np.log(clipped / (1 - clipped))
    return logits
