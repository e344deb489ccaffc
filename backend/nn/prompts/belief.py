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
from backend.core.geometry.instances import BoolArray, FloatArray
from backend.core.labelstudio.prompts import Prompts
from backend.core.prompting.masks import surroundings
from backend.core.prompting.windows import ByteArray, Window, box_around, likely_box, move_field

HINT_LOG_ODDS = 2.0
"""How much the detector's instance counts beside the network's own log-odds."""

REACH_NET_PX = 8.0
"""How far a click's freedom reaches at least."""
PRESS_REACH_SHARE = 0.4
"""How far a click against the mask presses at most, as a share of the root of the area."""
SPREAD_REACH_SHARE = 0.5
"""How far a click reaches what is of its colour, as a share of the root of the area."""
ALIKE_COLOUR_DISTANCE = 15.0
"""Colours so far apart (8-bit CIELAB, lightness counted less) are hardly the same thing."""
LIGHTNESS_SHARE = 0.7
"""How much a difference in lightness counts beside one in hue: light and shade change it."""
LEAST_ALIKE = 0.4
"""What is less alike does not connect a place to the click."""
CUT_AWAY_LOG_ODDS = 4.0
"""How firmly an object that a click cut away is left out."""

DRAWN_BOX_IOU = 0.78
"""Rough boxes overlap the object's own by about so much at least, if each side is off by 5 % or so."""
FILLING_LOG_ODDS = (0.5, -0.5, 1.0, -1.0, 1.5, -1.5, 2.0, -2.0, 2.5, -2.5, 3.0, -3.0, 3.5, -3.5, 4.0, -4.0)
"""How far a mask is grown or shrunk until it fills a rough shape: the least that does it is taken."""

_AGREEMENT_SIDE = 256
_ESTIMATE_WEIGHT = 0.3
"""What the network expects of its own mask, beside what the other windows make of it."""


@dataclass(frozen=True)
class Freedom:
    """What one more click may change.

    kept_far_away: how much of the mask before stays in force far from the click (0..1). reach_share: how far
    its freedom reaches, as a share of the root of the area. press_log_odds: how firmly it presses on what is
    around it; spread_log_odds: how firmly on what is connected to it and of its colour.
    """

    kept_far_away: float
    reach_share: float
    press_log_odds: float
    spread_log_odds: float


UNTRAINED_FREEDOM = Freedom(kept_far_away=0.5, reach_share=0.6, press_log_odds=0.0, spread_log_odds=0.0)
"""Before any training: the network itself knows what a click changes; what is far away is held a little."""
FIRST_CLICKS = 4
"""So many clicks say which of the things a trained detector knows is meant; later ones mend what is left."""
FIRST_FREEDOM = Freedom(kept_far_away=0.97, reach_share=0.3, press_log_odds=2.0, spread_log_odds=1.0)
LATER_FREEDOM = Freedom(kept_far_away=0.97, reach_share=0.3, press_log_odds=1.5, spread_log_odds=1.0)


def freedom_of(click_count: int, *, is_trained: bool) -> Freedom:
    """Return what the newest of so many clicks may change."""
    if not is_trained:
        return UNTRAINED_FREEDOM
    return FIRST_FREEDOM if click_count <= FIRST_CLICKS else LATER_FREEDOM


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


def cut_away(belief: Belief, other: Belief) -> Belief:
    """Return a belief that another object is no part of."""
    drawn = move_field(other.field.astype(np.float32), other.window, belief.window, belief.field.shape[0])
    return _shifted(belief, -CUT_AWAY_LOG_ODDS * drawn)


def holds(belief: Belief, points_xy: FloatArray) -> BoolArray:
    """Tell which points [N, 2] of the orig frame a belief holds likely, bool [N]; beyond its window none."""
    side = belief.field.shape[0]
    cells = np.floor(belief.window.to_net(points_xy, side)).astype(np.int64)
    inside = ((cells >= 0) & (cells < side)).all(axis=1)
    columns, rows = np.clip(cells, 0, side - 1).T
    return np.asarray(inside & (belief.field[rows, columns] > 0.5))


def steadied(belief: Belief, before: Belief, click_xy: FloatArray, freedom: Freedom) -> Belief:
    """Return a belief that changes freely around the newest click and reluctantly far from it.

    click_xy [2] in the orig frame. A click says something of its surroundings; what was settled elsewhere
    should not come undone by it.
    """
    side = belief.field.shape[0]
    earlier = move_field(before.field.astype(np.float32), before.window, belief.window, side)
    place = belief.window.to_net(click_xy, side)[0]
    reach = max(REACH_NET_PX, freedom.reach_share * float(np.sqrt((earlier > 0.5).sum())))
    kept = freedom.kept_far_away * (1 - _nearness(place, reach, side))
    field = (1 - kept) * belief.field.astype(np.float32) + kept * earlier
    return Belief(belief.window, field.astype(np.float16), belief.expected_iou)


def pressed(belief: Belief, before: Belief, prompts: Prompts, picture: ByteArray, freedom: Freedom) -> Belief:
    """Return a belief moved towards the newest click, if it contradicted the mask before it; else the same.

    prompts in the orig frame; picture uint8 [S, S, 3], what the belief's window shows. The click presses on
    what is around it and, by freedom.spread_log_odds, on what is connected to it and of its colour.
    """
    side = belief.field.shape[0]
    held = move_field(before.field.astype(np.float32), before.window, belief.window, side) > 0.5
    place = belief.window.to_net(prompts.clicks_xy_px[-1], side)[0]
    column, row = (int(np.clip(v, 0, side - 1)) for v in place)
    is_positive = bool(prompts.is_positive[-1])
    if bool(held[row, column]) == is_positive:
        return belief
    wrong = ~held if is_positive else held
    root_area = float(np.sqrt(max(1, np.count_nonzero(held))))
    # Annotators click amid what is wrong: the distance to the mask's border tells how large that is.
    depth = float(cv2.distanceTransform(wrong.astype(np.uint8), cv2.DIST_L2, 5)[row, column])
    reach = max(1.0, min(depth, PRESS_REACH_SHARE * root_area))
    pressure = freedom.press_log_odds * _nearness(place, reach, side)
    if freedom.spread_log_odds > 0:
        denied = prompts.negative_px if is_positive else prompts.positive_px
        alike = _alike(picture, (row, column), belief.window.to_net(denied, side), wrong)
        pressure += freedom.spread_log_odds * alike * _nearness(place, SPREAD_REACH_SHARE * root_area, side)
    return _shifted(belief, pressure if is_positive else -pressure)


def _alike(
    picture: ByteArray, place: tuple[int, int], denied_xy_net: FloatArray, wrong: BoolArray
) -> FloatArray:
    """Return how far each cell is wrong for the same reason as a clicked one, float32 [S, S] in 0..1.

    Of the colour at `place` (row, column), connected to it, within `wrong`, and not of a colour that was
    clicked with the opposite meaning.
    """
    smooth = cv2.GaussianBlur(picture, (0, 0), 1.0)
    lab = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab[..., 0] *= LIGHTNESS_SHARE

    def like(cell: tuple[int, int]) -> FloatArray:
        distance = ((lab - lab[cell]) ** 2).sum(axis=-1)
        return np.asarray(np.exp(-distance / (2 * ALIKE_COLOUR_DISTANCE**2)), dtype=np.float32)

    alike = like(place)
    for x, y in np.clip(denied_xy_net, 0, len(picture) - 1).astype(np.int64):
        alike *= 1 - like((int(y), int(x)))
    numbers = cv2.connectedComponents(((alike > LEAST_ALIKE) & wrong).astype(np.uint8), connectivity=8)[1]
    connected = (numbers == numbers[place]) & (numbers > 0)
    return np.asarray(alike * cv2.GaussianBlur(connected.astype(np.float32), (0, 0), 1.0), dtype=np.float32)


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
