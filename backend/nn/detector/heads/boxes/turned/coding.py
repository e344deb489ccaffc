"""How the turn of a rectangle is written as numbers that a network can learn.

A rectangle is the same after half a turn, and after a quarter with its sides swapped; a square after any
quarter. An angle as such jumps where the rectangle does not, and the network would learn the middle between
two right answers. What is learned are four numbers that never jump, since each is the same for all rows of
one rectangle (angle t, aspect a = log(width / height)):

    a cos 2t, a sin 2t    the direction of the longer side; vanishes for a square, which has none
    cos 4t, sin 4t        the directions of all sides alike, so that a square has one too

Source: the two frequencies of PSC, arXiv 2211.06368, sec. 3.3; that the first vector is scaled by the aspect
is ours, and makes it what size leaves over of the logarithm of a Gaussian's covariance (GWD, arXiv
2101.11952). Centre and size need no number: they follow from the upright box around the rectangle.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from backend.core.geometry.instances import FloatArray
from backend.core.geometry.turned_boxes import nearest_to_upright

CODE_LENGTH = 4
ASPECT_MAX = 3.0
"""Rectangles longer than e to this power, 20 to 1, are coded as if they were not."""


def turned_to_codes(turned_boxes_px: FloatArray) -> FloatArray:
    """Return the codes [N, 4] of turned boxes [N, 5] with positive sides."""
    rows = np.asarray(turned_boxes_px, dtype=np.float64)
    aspect = np.clip(np.log(rows[:, 2] / rows[:, 3]), -ASPECT_MAX, ASPECT_MAX)
    angle = np.radians(rows[:, 4])
    codes = [
        aspect * np.cos(2 * angle),
        aspect * np.sin(2 * angle),
        np.cos(4 * angle),
        np.sin(4 * angle),
    ]
    coded: FloatArray = np.stack(codes, axis=1).astype(np.float32)
    return coded


def codes_to_turned(codes: FloatArray, boxes_xyxy_px: FloatArray) -> FloatArray:
    """Return the rectangles [N, 5] with these codes [N, 4] that fit into upright boxes [N, 4].

    Both vectors tell the angle, the second up to quarter turns; each counts as much as its length makes it
    sure. Where the sides of a box contradict the code, the rectangle fits the box's area all the same.
    """
    values = np.asarray(codes, dtype=np.float64)
    aspect = np.minimum(np.hypot(values[:, 0], values[:, 1]), ASPECT_MAX)
    along = np.arctan2(values[:, 1], values[:, 0]) / 2
    sides = np.arctan2(values[:, 3], values[:, 2]) / 4
    quarter = np.pi / 2
    sides = sides + quarter * np.round((along - sides) / quarter)
    trust_along = (2 * aspect) ** 2
    trust_sides = (4 * np.hypot(values[:, 2], values[:, 3])) ** 2
    both = np.maximum(trust_along + trust_sides, 1e-9)
    angle = (trust_along * along + trust_sides * sides) / both
    ratio, cos, sin = np.exp(aspect), np.abs(np.cos(angle)), np.abs(np.sin(angle))
    boxes = np.asarray(boxes_xyxy_px, dtype=np.float64)
    low, high = boxes[:, :2], boxes[:, 2:]
    height = np.sqrt((high - low).prod(axis=1) / ((ratio * cos + sin) * (ratio * sin + cos)))
    rows = np.column_stack([(low + high) / 2, ratio * height, height, np.degrees(angle)])
    return nearest_to_upright(rows.astype(np.float32))


def codes_mirrored(codes: Tensor) -> Tensor:
    """Return the codes [..., 4] of the mirrored rectangles: their angles go the other way round."""
    return codes * codes.new_tensor([1.0, -1.0, 1.0, -1.0])
