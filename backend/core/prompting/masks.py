"""From a field of probabilities in a window to the mask an annotator gets, as the clicks demand it."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import BoolArray, FloatArray, ImageSize, MaskPatch
from backend.core.geometry.masks import clean_patch, tight_patch
from backend.core.labelstudio.prompts import Prompts
from backend.core.prompting.windows import Window

SURROUNDINGS_SHARE = 0.12
"""How far beyond a rough shape the object may reach, as a share of the shape's width and height."""
STRAY_SHARE = 0.12
"""A part without a click that is smaller than this share of the largest part is dropped."""
REACH_SHARE = 0.35
"""How far a click's own correction may reach, as a share of the root of the mask's area."""
LEAST_DISC_SHARE = 0.004
"""Radius of a click's disc where the field offers nothing, as a share of the image's longer side."""


def field_to_mask(field: FloatArray, window: Window, prompts: Prompts, size: ImageSize) -> MaskPatch | None:
    """Return the object's mask in the orig frame, None where nothing is left.

    field float [S, S]: probabilities in the window. The mask holds every positive and no negative click,
    nothing beyond a rough shape's surroundings, no specks, and what was painted but not what was erased.
    """
    left, top = max(window.left_px, 0), max(window.top_px, 0)
    right = min(window.left_px + window.side_px, size.width)
    bottom = min(window.top_px + window.side_px, size.height)
    if prompts.outline_px is not None:
        allowed = surroundings(prompts.outline_px)
        left, top = max(left, math.floor(allowed[0])), max(top, math.floor(allowed[1]))
        right, bottom = min(right, math.ceil(allowed[2])), min(bottom, math.ceil(allowed[3]))
    if right <= left or bottom <= top:
        return None
    values = _in_orig(field, window, (left, top, right, bottom))
    bits = values > 0.5
    clicks = prompts.clicks_xy_px - np.array([left, top], dtype=np.float32)
    positive, negative = clicks[prompts.is_positive], clicks[~prompts.is_positive]
    bits = _drop_strays(bits, positive)
    if prompts.painted is not None:
        bits |= _patch_in(prompts.painted, left, top, bits.shape)
    bits = obey_clicks(bits, values, positive, negative, LEAST_DISC_SHARE * max(size.width, size.height))
    if prompts.erased is not None:
        bits &= ~_patch_in(prompts.erased, left, top, bits.shape)
    patch = tight_patch(bits, left, top)
    if patch is None or len(clicks) or prompts.painted is not None:
        return patch  # cleaning could take a small spot that was pointed at
    return clean_patch(patch)


def surroundings(outline_px: FloatArray) -> FloatArray:
    """Return the box [4] xyxy around a rough shape beyond which nothing is answered."""
    low, high = outline_px.min(axis=0), outline_px.max(axis=0)
    margin = np.maximum((high - low) * SURROUNDINGS_SHARE, 2.0)
    return np.concatenate([low - margin, high + margin])


def obey_clicks(
    bits: BoolArray, values: FloatArray, positive: FloatArray, negative: FloatArray, least_radius_px: float
) -> BoolArray:
    """Return the mask with every positive click in it and every negative click out of it.

    bits bool and values float 0..1 [h, w]; clicks [N, 2] (x, y) in that frame. A click that the threshold
    contradicts moves the threshold around it: the connected places that are as likely as the clicked one
    follow it, up to a distance.
    """
    out = bits.copy()
    reach_px = max(least_radius_px * 2, REACH_SHARE * math.sqrt(max(1, np.count_nonzero(bits))))
    for x, y in positive:
        if _inside(out, x, y) is False:
            out |= _like_the_click(values, x, y, reach_px, least_radius_px)
    for x, y in negative:
        if _inside(out, x, y) is True:
            out &= ~_like_the_click(1.0 - values, x, y, reach_px, least_radius_px)
    for x, y in positive:  # a cut may have taken a neighbouring positive click with it
        if _inside(out, x, y) is False:
            out |= _disc(out.shape, x, y, min(least_radius_px, _nearest(negative, x, y) * 0.5))
    return out


def _inside(bits: BoolArray, x: float, y: float) -> bool | None:
    column, row = math.floor(x), math.floor(y)
    if not (0 <= row < bits.shape[0] and 0 <= column < bits.shape[1]):
        return None
    return bool(bits[row, column])


def _like_the_click(
    values: FloatArray, x: float, y: float, reach_px: float, least_radius_px: float
) -> BoolArray:
    """Return the connected places around a click that are about as likely as it, bool [h, w]."""
    row, column = math.floor(y), math.floor(x)
    least = _disc(values.shape, x, y, least_radius_px)
    likely = (values >= 0.9 * float(values[row, column])) & _disc(values.shape, x, y, reach_px)
    if float(values[row, column]) < 0.02:
        return least
    _, numbers = cv2.connectedComponents(likely.astype(np.uint8), connectivity=4)
    return np.asarray((numbers == numbers[row, column]) | least)


def _disc(shape_hw: tuple[int, ...], x: float, y: float, radius_px: float) -> BoolArray:
    """Return a disc that holds at least the pixel under (x, y)."""
    drawn = np.zeros(shape_hw, dtype=np.uint8)
    cv2.circle(drawn, (math.floor(x), math.floor(y)), max(0, round(radius_px)), 1, thickness=-1)
    return drawn > 0


def _nearest(points: FloatArray, x: float, y: float) -> float:
    if not len(points):
        return math.inf
    return float(np.hypot(points[:, 0] - x, points[:, 1] - y).min())


def _drop_strays(bits: BoolArray, positive: FloatArray) -> BoolArray:
    """Keep the parts that were clicked and the large ones; without clicks, the large ones."""
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(bits.astype(np.uint8), connectivity=8)
    if count <= 2:
        return bits
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    is_kept = areas >= STRAY_SHARE * areas.max()
    for x, y in positive:
        if _inside(bits, x, y):
            is_kept[numbers[math.floor(y), math.floor(x)]] = True
    is_kept[0] = False
    return np.asarray(is_kept[numbers], dtype=np.bool_)


def _patch_in(patch: MaskPatch, left: int, top: int, shape_hw: tuple[int, ...]) -> BoolArray:
    """Return a patch as seen in a window of the orig frame, bool [h, w]."""
    out = np.zeros(shape_hw, dtype=np.bool_)
    x, y = patch.left_px - left, patch.top_px - top
    height, width = patch.bits.shape
    x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + width, shape_hw[1]), min(y + height, shape_hw[0])
    if x2 > x1 and y2 > y1:
        out[y1:y2, x1:x2] = patch.bits[y1 - y : y2 - y, x1 - x : x2 - x]
    return out


def _in_orig(field: FloatArray, window: Window, box_ltrb: tuple[int, int, int, int]) -> FloatArray:
    """Return the field interpolated at every pixel of an orig box, float [h, w]."""
    left, top, right, bottom = box_ltrb
    grid_per_px = field.shape[0] / window.side_px
    offset = 0.5 * grid_per_px - 0.5
    matrix: npt.NDArray[np.float64] = np.array(
        [
            [grid_per_px, 0.0, (left - window.left_px) * grid_per_px + offset],
            [0.0, grid_per_px, (top - window.top_px) * grid_per_px + offset],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size_wh = (right - left, bottom - top)
    moved = cv2.warpAffine(field, matrix, size_wh, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.float32)
