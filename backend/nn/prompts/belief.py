"""What the prompt network holds of one object, and what is known to be likely before it looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.geometry.boxes import box_iou
from backend.core.geometry.instances import FloatArray
from backend.core.prompting.masks import surroundings
from backend.core.prompting.windows import Window, box_around, likely_box, move_field

HINT_LOG_ODDS = 2.0
"""How much the detector's instance counts beside the network's own log-odds."""

REACH_NET_PX = 8.0
"""How far a click's freedom reaches at least."""
REACH_SHARE = 0.6
"""How far it reaches, as a share of the root of the mask's area."""
KEPT_FAR_AWAY = 0.5
"""How much of the mask before stays in force where a click's freedom does not reach, 0..1."""

DRAWN_BOX_IOU = 0.78
"""Rough boxes overlap the object's own by about so much at least, if each side is off by 5 % or so."""
FILLING_LOG_ODDS = (0.5, -0.5, 1.0, -1.0, 1.5, -1.5, 2.0, -2.0, 2.5, -2.5, 3.0, -3.0, 3.5, -3.5, 4.0, -4.0)
"""How far a mask is grown or shrunk until it fills a rough shape: the least that does it is taken."""

_AGREEMENT_SIDE = 256
_ESTIMATE_WEIGHT = 0.3
"""What the network expects of its own mask, beside what the other windows make of it."""


@dataclass(frozen=True, eq=False)
class Belief:
    """What the network holds of an object after some prompts: probabilities float16 [S, S] in a window."""

    window: Window
    field: npt.NDArray[np.float16]
    expected_iou: float


def most_agreed(beliefs: Sequence[Belief]) -> Belief:
    """Return the belief that the others confirm: what is seen at several scales is rather the object.

    beliefs: at least one; the first one's window holds all others. The network's estimate of its overlap
    alone was measured to choose worse: it trusts a part, or the ground, nearly as much as the object.
    """
    if len(beliefs) == 1:
        return beliefs[0]
    masks = np.stack(
        [
            move_field(belief.field.astype(np.float32), belief.window, beliefs[0].window, _AGREEMENT_SIDE)
            > 0.5
            for belief in beliefs
        ]
    ).reshape(len(beliefs), -1)
    shared = masks.astype(np.float32) @ masks.T.astype(np.float32)
    areas = np.diag(shared)
    overlaps = shared / np.maximum(areas[:, None] + areas[None, :] - shared, 1.0)
    agreement = (overlaps.sum(axis=1) - np.diag(overlaps)) / (len(beliefs) - 1)
    estimates = np.array([belief.expected_iou for belief in beliefs])
    return beliefs[int(np.argmax(agreement + _ESTIMATE_WEIGHT * estimates))]


def weighed_with_hint(belief: Belief, hint: Belief) -> Belief:
    """Return a belief that leaves the detector's instance only where the network is sure of it."""
    drawn = move_field(hint.field.astype(np.float32), hint.window, belief.window, belief.field.shape[0])
    drawn = np.asarray(cv2.GaussianBlur(drawn, (0, 0), 1.0), dtype=np.float32)
    return _shifted(belief, HINT_LOG_ODDS * (2.0 * drawn - 1.0))


def filling(belief: Belief, outline_px: FloatArray) -> Belief:
    """Return a belief that fills an annotator's rough shape as well as such shapes are drawn.

    outline_px [N, 2] in the orig frame. A belief whose box overlaps the shape's by less than DRAWN_BOX_IOU
    is grown or shrunk as a whole: the network takes a nucleus for the cell that was boxed.
    """
    wanted = box_around(outline_px)
    side = belief.field.shape[0]
    corners = belief.window.to_net(surroundings(outline_px).reshape(2, 2), side)
    (left, top), (right, bottom) = np.clip([np.floor(corners[0]), np.ceil(corners[1])], 0, side).astype(int)
    near = np.zeros((side, side), dtype=np.float32)
    near[top:bottom, left:right] = belief.field[top:bottom, left:right]
    best_iou, best_log_odds = -1.0, 0.0
    for log_odds in (0.0, *FILLING_LOG_ODDS):
        held = likely_box(near, belief.window, 1 / (1 + math.exp(log_odds)))
        iou = 0.0 if held is None else float(box_iou(held[None], wanted[None])[0, 0])
        if iou > best_iou:
            best_iou, best_log_odds = iou, log_odds
        if iou >= DRAWN_BOX_IOU:
            break
    if best_log_odds == 0:
        return belief
    return _shifted(belief, np.full((side, side), best_log_odds))


def steadied(belief: Belief, before: Belief, click_xy: FloatArray) -> Belief:
    """Return a belief that changes freely around the newest click and reluctantly far from it.

    click_xy [2] in the orig frame. A click says something of its surroundings; what was settled elsewhere
    should not come undone by it.
    """
    side = belief.field.shape[0]
    earlier = move_field(before.field.astype(np.float32), before.window, belief.window, side)
    place = belief.window.to_net(click_xy, side)[0]
    reach = max(REACH_NET_PX, REACH_SHARE * float(np.sqrt((earlier > 0.5).sum())))
    kept = KEPT_FAR_AWAY * (1 - _nearness(place, reach, side))
    field = (1 - kept) * belief.field.astype(np.float32) + kept * earlier
    return Belief(belief.window, field.astype(np.float16), belief.expected_iou)


def _nearness(place_xy: FloatArray, reach: float, side: int) -> npt.NDArray[np.floating[Any]]:
    """Return 1 at a place of the window and less away from it, by a bell of width `reach`, [S, S]."""
    cells = np.arange(side) + 0.5
    x, y = place_xy
    return np.exp(-((cells[None, :] - x) ** 2 + (cells[:, None] - y) ** 2) / (2 * reach**2))


def _shifted(belief: Belief, log_odds: npt.NDArray[np.floating[Any]]) -> Belief:
    """Return a belief whose log-odds are moved by a field [S, S]."""
    likely = np.clip(belief.field.astype(np.float32), 1e-3, 1 - 1e-3)
    moved = np.log(likely / (1 - likely)) + np.clip(log_odds, -30, 30)
    field = (1 / (1 + np.exp(-moved))).astype(np.float16)
    return Belief(belief.window, field, belief.expected_iou)
