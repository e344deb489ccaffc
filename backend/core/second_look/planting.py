"""Errors like those that people make, planted into what they drew: they show what errors look like here.

How well a version finds, names and outlines the objects of a project differs from project to project, and
nobody has marked its errors. So copies of the annotations are spoilt at known places, and what distinguishes
those places from the others is learned (`odds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import FloatArray, ImageSize, IntArray
from backend.core.second_look.drawn import Drawn
from backend.core.second_look.kinds import SUSPICIONS_OF_OBJECTS, SuspicionKind

Array = npt.NDArray[np.float64]

DROPPED, RELABELLED, MISPLACED, DOUBLED, INVENTED = 0.10, 0.07, 0.10, 0.03, 0.07
"""How many of the objects are spoilt, and how: shares, as many as teach without hiding what is sound."""
MOVE_LEAST, MOVE_MOST = 0.12, 0.45
"""By how much of its own size a misplaced object is moved, or grows or shrinks."""
DOUBLE_SHIFT = 0.08
_TRIES = 12
_ROOM_IOU = 0.1

_PLACE = 1 + SUSPICIONS_OF_OBJECTS.index(SuspicionKind.BADLY_PLACED)
_LABEL = 1 + SUSPICIONS_OF_OBJECTS.index(SuspicionKind.OTHER_LABEL)
_EXTRA = 1 + SUSPICIONS_OF_OBJECTS.index(SuspicionKind.OBJECT_TOO_MANY)
_TWICE = 1 + SUSPICIONS_OF_OBJECTS.index(SuspicionKind.DRAWN_TWICE)
_NO_ROW = -1


@dataclass(frozen=True, eq=False)
class Planted:
    """A spoilt copy of what was drawn in one image.

    drawn: what is left, with what was added; `rows` of added objects are -1. wrong int64 [M]: 0 for what is
    as it was, else 1 + the position in SUSPICIONS_OF_OBJECTS. dropped: what was taken away.
    """

    drawn: Drawn
    wrong: IntArray
    dropped: Drawn


def plant(drawn: Drawn, size: ImageSize, models: Sequence[Drawn], rng: np.random.Generator) -> Planted:
    """Return a spoilt copy of the objects of an image.

    models: the objects of other images, those of at least one, to invent from.
    """
    label_count = drawn.labels.shape[1]
    chance = rng.random(len(drawn))
    is_dropped = chance < DROPPED
    rest = drawn.kept(~is_dropped)
    chance = chance[~is_dropped] - DROPPED
    wrong = np.zeros(len(rest), dtype=np.int64)
    boxes = rest.boxes_xyxy_px.copy()
    turned = None if rest.turned_boxes_px is None else rest.turned_boxes_px.copy()
    labels = rest.labels.copy()
    for k in np.flatnonzero(chance < RELABELLED + MISPLACED).tolist():
        if chance[k] < RELABELLED:
            others = np.flatnonzero(~labels[k])
            if label_count < 2 or not len(others):
                continue
            labels[k] = False
            labels[k, rng.choice(others)] = True
            wrong[k] = _LABEL
        else:
            shift, growth = _misplacement(rng)
            boxes[k] = _changed_box(boxes[k], shift, growth)
            if turned is not None:
                turned[k] = _changed_turned(turned[k], shift, growth)
            wrong[k] = _PLACE
    spoilt = Drawn(boxes, turned, labels, rest.rows)
    for added, kind in ((_doubles(rest, rng), _TWICE), (_inventions(drawn, size, models, rng), _EXTRA)):
        spoilt = spoilt.joined(added)
        wrong = np.concatenate([wrong, np.full(len(added), kind)])
    return Planted(spoilt, wrong, drawn.kept(is_dropped))


def _misplacement(rng: np.random.Generator) -> tuple[Array, Array]:
    """Return a shift [2] and a growth [2] of a box, both as shares of its size; one of them is none."""
    amount = rng.uniform(MOVE_LEAST, MOVE_MOST)
    angle = rng.uniform(0, 2 * np.pi)
    direction: Array = amount * np.array([np.cos(angle), np.sin(angle)])
    nothing: Array = np.zeros(2)
    return (direction, nothing) if rng.random() < 0.7 else (nothing, direction)


def _changed_box(box: FloatArray, shift: Array, growth: Array) -> FloatArray:
    size = box[2:] - box[:2]
    centre = (box[2:] + box[:2]) / 2 + shift * size
    half = size * (1 + growth) / 2
    changed: FloatArray = np.concatenate([centre - half, centre + half]).astype(np.float32)
    return changed


def _changed_turned(row: FloatArray, shift: Array, growth: Array) -> FloatArray:
    angle = np.radians(row[4])
    along, down = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    centre = row[:2] + shift[0] * row[2] * along + shift[1] * row[3] * down
    changed: FloatArray = np.concatenate([centre, row[2:4] * (1 + growth), row[4:]]).astype(np.float32)
    return changed


def _doubles(drawn: Drawn, rng: np.random.Generator) -> Drawn:
    """Return second drawings of some objects, nearly where the first ones are."""
    which = np.flatnonzero(rng.random(len(drawn)) < DOUBLED)
    twins = drawn.kept(which)
    boxes = twins.boxes_xyxy_px.copy()
    turned = None if twins.turned_boxes_px is None else twins.turned_boxes_px.copy()
    for k in range(len(twins)):
        shift, growth = rng.normal(0, DOUBLE_SHIFT, 2), rng.normal(0, DOUBLE_SHIFT, 2).clip(-0.5, 0.5)
        boxes[k] = _changed_box(boxes[k], shift, growth)
        if turned is not None:
            turned[k] = _changed_turned(turned[k], shift, growth)
    return Drawn(boxes, turned, twins.labels, np.full(len(twins), _NO_ROW))


def _inventions(drawn: Drawn, size: ImageSize, models: Sequence[Drawn], rng: np.random.Generator) -> Drawn:
    """Return objects of usual sizes where none is drawn."""
    added = drawn.kept(np.zeros(0, dtype=np.int64))
    for _ in range(rng.binomial(max(len(drawn), 1), INVENTED) if models else 0):
        source = models[int(rng.integers(len(models)))]
        model = source.kept([int(rng.integers(len(source)))])
        low, high = model.boxes_xyxy_px[0, :2], model.boxes_xyxy_px[0, 2:]
        room = np.array([size.width, size.height], dtype=np.float32) - (high - low)
        if room.min() <= 0:
            continue
        for _ in range(_TRIES):
            step = (rng.random(2) * room - low).astype(np.float32)
            moved = Drawn(
                model.boxes_xyxy_px + np.tile(step, 2),
                None
                if model.turned_boxes_px is None
                else model.turned_boxes_px + np.array([*step, 0, 0, 0], dtype=np.float32),
                model.labels,
                np.full(1, _NO_ROW),
            )
            if not drawn.joined(moved).ious_among()[-1].max(initial=0) >= _ROOM_IOU:
                added = added.joined(moved)
                break
    return added
