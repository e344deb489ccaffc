"""From a field of probabilities in a window to the mask an annotator gets, as the clicks demand it."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import BoolArray, FloatArray, ImageSize, MaskPatch
from backend.core.geometry.mask_grid import PIXELWISE_SIDE_PX, Box, MaskGrid, common_box, longest_side
from backend.core.geometry.masks import clean_patch, count_parts, patch_box, tight_patch
from backend.core.labelstudio.prompts import Prompts
from backend.core.prompting.windows import Window, box_around, likely_box

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
    least_radius_px = LEAST_DISC_SHARE * max(size.width, size.height)
    box = _allowed(window, prompts, size)
    if box is not None and longest_side(box) > PIXELWISE_SIDE_PX:
        reached = _reached(field, window, prompts, least_radius_px)
        box = None if reached is None else common_box(box, reached)
    if box is None:
        return None
    grid = MaskGrid.over(box)
    values = _on_grid(field, window, grid)
    positive, negative = grid.points_to_cells(prompts.positive_px), grid.points_to_cells(prompts.negative_px)
    bits = _drop_strays(values > 0.5, positive)
    if prompts.painted is not None:
        bits |= grid.patch_to_cells(prompts.painted)
    bits = obey_clicks(bits, values, positive, negative, least_radius_px * max(grid.scale_xy))
    if prompts.erased is not None:
        bits &= ~grid.patch_to_cells(prompts.erased)
    if not len(prompts.clicks_xy_px) and prompts.painted is None:  # cleaning could take what was pointed at
        bits = _cleaned(bits)
    if grid.is_coarse:
        bits = grid.decided(values, bits)
        corner = np.array(box[:2], dtype=np.float32)
        _hold_clicks(bits, prompts.positive_px - corner, prompts.negative_px - corner, least_radius_px)
    return tight_patch(bits, *box[:2])


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
            near = _around(out.shape, x, y, reach_px)
            out[near] |= _like_the_click(values[near], near, x, y, reach_px, least_radius_px)
    for x, y in negative:
        if _inside(out, x, y) is True:
            near = _around(out.shape, x, y, reach_px)
            out[near] &= ~_like_the_click(1.0 - values[near], near, x, y, reach_px, least_radius_px)
    _hold_positive(out, positive, negative, least_radius_px)  # a cut may have taken a neighbour with it
    return out


def _hold_clicks(bits: BoolArray, positive: FloatArray, negative: FloatArray, least_radius_px: float) -> None:
    """Put discs where a mask [h, w] contradicts a click; it was decided in cells larger than its pixels."""
    for x, y in negative:
        if _inside(bits, x, y) is True:
            near = _around(bits.shape, x, y, least_radius_px)
            bits[near] &= ~_disc(near, x, y, min(least_radius_px, _nearest(positive, x, y) * 0.5))
    _hold_positive(bits, positive, negative, least_radius_px)


def _hold_positive(
    bits: BoolArray, positive: FloatArray, negative: FloatArray, least_radius_px: float
) -> None:
    for x, y in positive:
        if _inside(bits, x, y) is False:
            near = _around(bits.shape, x, y, least_radius_px)
            bits[near] |= _disc(near, x, y, min(least_radius_px, _nearest(negative, x, y) * 0.5))


def _inside(bits: BoolArray, x: float, y: float) -> bool | None:
    column, row = math.floor(x), math.floor(y)
    if not (0 <= row < bits.shape[0] and 0 <= column < bits.shape[1]):
        return None
    return bool(bits[row, column])


_Near = tuple[slice, slice]
"""The rows and columns of a mask that a click may change."""


def _around(shape_hw: tuple[int, ...], x: float, y: float, radius_px: float) -> _Near:
    """Return the rows and columns that a disc at (x, y) reaches."""
    row, column, reach = math.floor(y), math.floor(x), math.ceil(radius_px) + 1
    return (
        slice(max(0, row - reach), min(shape_hw[0], row + reach + 1)),
        slice(max(0, column - reach), min(shape_hw[1], column + reach + 1)),
    )


def _like_the_click(
    values: FloatArray, near: _Near, x: float, y: float, reach_px: float, least_radius_px: float
) -> BoolArray:
    """Return the connected places around a click that are about as likely as it, bool [h, w].

    values [h, w]: of the rows and columns `near`.
    """
    row, column = math.floor(y) - near[0].start, math.floor(x) - near[1].start
    least = _disc(near, x, y, least_radius_px)
    likely = (values >= 0.9 * float(values[row, column])) & _disc(near, x, y, reach_px)
    if float(values[row, column]) < 0.02:
        return least
    _, numbers = cv2.connectedComponents(likely.astype(np.uint8), connectivity=4)
    return np.asarray((numbers == numbers[row, column]) | least)


def _disc(near: _Near, x: float, y: float, radius_px: float) -> BoolArray:
    """Return a disc in some rows and columns; it holds at least the pixel under (x, y)."""
    rows, columns = near
    drawn = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.uint8)
    centre = (math.floor(x) - columns.start, math.floor(y) - rows.start)
    cv2.circle(drawn, centre, max(0, round(radius_px)), 1, thickness=-1)
    return drawn > 0


def _nearest(points: FloatArray, x: float, y: float) -> float:
    if not len(points):
        return math.inf
    return float(np.hypot(points[:, 0] - x, points[:, 1] - y).min())


def _drop_strays(bits: BoolArray, positive: FloatArray) -> BoolArray:
    """Keep the parts that were clicked and the large ones; without clicks, the large ones."""
    if count_parts(bits) <= 1:
        return bits
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(bits.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    is_kept = areas >= STRAY_SHARE * areas.max()
    for x, y in positive:
        if _inside(bits, x, y):
            is_kept[numbers[math.floor(y), math.floor(x)]] = True
    is_kept[0] = False
    return np.asarray(is_kept[numbers], dtype=np.bool_)


def _cleaned(bits: BoolArray) -> BoolArray:
    """Return a mask [h, w] without specks and pinholes."""
    patch = tight_patch(bits, 0, 0)
    cleaned = None if patch is None else clean_patch(patch)
    return np.zeros_like(bits) if cleaned is None else cleaned.full(ImageSize(bits.shape[1], bits.shape[0]))


def _allowed(window: Window, prompts: Prompts, size: ImageSize) -> Box | None:
    """Return the box within which something may be answered: of the window, the image and a rough shape."""
    seen = (window.left_px, window.top_px, window.left_px + window.side_px, window.top_px + window.side_px)
    box = common_box(seen, (0, 0, size.width, size.height))
    if box is None or prompts.outline_px is None:
        return box
    return common_box(box, _whole_pixels(surroundings(prompts.outline_px)))


def _reached(field: FloatArray, window: Window, prompts: Prompts, least_radius_px: float) -> Box | None:
    """Return a box that holds all that may be set: what is likely or painted, and around positive clicks."""
    parts: list[FloatArray] = []
    likely = likely_box(field, window)
    reach_px = 2 * least_radius_px
    if likely is not None:
        cell = window.side_px / field.shape[0]
        parts.append(likely + np.array([-cell, -cell, cell, cell], dtype=np.float32))
        reach_px = max(reach_px, REACH_SHARE * float(np.sqrt((likely[2:] - likely[:2]).prod())))
    parts += [np.concatenate([mark - reach_px - 1, mark + reach_px + 1]) for mark in prompts.positive_px]
    if prompts.painted is not None:
        parts.append(patch_box(prompts.painted))
    return _whole_pixels(box_around(*parts)) if parts else None


def _whole_pixels(box_xyxy_px: FloatArray) -> Box:
    """Return the smallest box of whole pixels that holds a box [4]."""
    left, top, right, bottom = box_xyxy_px.tolist()
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)


def _on_grid(field: FloatArray, window: Window, grid: MaskGrid) -> FloatArray:
    """Return the field interpolated at every cell of a grid, float [h, w]."""
    per_px = field.shape[0] / window.side_px
    step_x, step_y = (per_px / scale for scale in grid.scale_xy)
    left, top = grid.box[:2]
    matrix: npt.NDArray[np.float64] = np.array(
        [
            [step_x, 0.0, (left - window.left_px) * per_px + 0.5 * step_x - 0.5],
            [0.0, step_y, (top - window.top_px) * per_px + 0.5 * step_y - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(field, matrix, grid.shape_wh, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.float32)
