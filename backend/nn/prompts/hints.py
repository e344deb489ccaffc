"""What the trained detector already knows, as hints for the prompt network."""

from __future__ import annotations

import math

import cv2
import numpy as np

from backend.core.geometry.boxes import box_iou
from backend.core.geometry.instances import Detections, FloatArray, MaskPatch
from backend.core.geometry.masks import patch_box
from backend.core.labelstudio.prompts import Prompts
from backend.core.prompting.windows import Window, box_around

LEAST_SCORE = 0.10
"""Instances less likely than this are no hint."""
ENOUGH_PX_A_CELL = 4
"""A mask of which more pixels than so many fall on a cell's width is read at some of them."""
MANY_PX = 2**20
"""A mask with more pixels is cut to what a window shows of it."""
LEAST_BOX_IOU = 0.5
LEAST_MASK_IOU = 0.3


def matching_instance(
    detections: Detections, prompts: Prompts, label_index: int | None, *, mask: MaskPatch | None = None
) -> int | None:
    """Return the index of the instance that the prompts mean, None where none does.

    With a finished `mask`: the one that overlaps it most. With a rough shape: the one whose box fits the
    shape's best. With clicks or a dab: the most likely that holds the positive and none of the negative.
    """
    candidates = [
        k
        for k in range(len(detections))
        if detections.scores[k] >= LEAST_SCORE
        and (label_index is None or int(detections.label_indices[k]) == label_index)
    ]
    if not candidates:
        return None
    if mask is not None or prompts.outline_px is not None:
        box = patch_box(mask) if mask is not None else _outline_box(prompts)
        overlaps = box_iou(detections.boxes_xyxy_px[candidates], box[None])[:, 0]
        best = int(np.argmax(overlaps))
        least = LEAST_MASK_IOU if mask is not None else LEAST_BOX_IOU
        return candidates[best] if overlaps[best] >= least else None
    positive = prompts.positive_px
    if prompts.painted is not None:
        positive = np.concatenate([positive, _middle(prompts.painted)[None]])
    holding = [
        k
        for k in candidates
        if all(_holds(detections, k, x, y) for x, y in positive)
        and not any(_holds(detections, k, x, y) for x, y in prompts.negative_px)
    ]
    return max(holding, key=lambda k: float(detections.scores[k]), default=None)


def likely_label(detections: Detections | None, prompts: Prompts, mask: MaskPatch) -> int | None:
    """Return the detector's label of a finished mask, None where it knows no such object."""
    if detections is None:
        return None
    instance = matching_instance(detections, prompts, None, mask=mask)
    return None if instance is None else int(detections.label_indices[instance])


def detector_view(
    detections: Detections,
    window: Window,
    net_side: int,
    *,
    label_index: int | None = None,
) -> FloatArray:
    """Return how likely an instance covers each place of a window (orig frame), float [S, S] in 0..1.

    Each instance counts with its score. Instances without a mask are drawn
    nowhere: a box's corners are not object.
    """
    view = np.zeros((net_side, net_side), dtype=np.float32)
    for k in range(len(detections)):
        mask, score = detections.masks[k], float(detections.scores[k])
        is_wanted = label_index is None or int(detections.label_indices[k]) == label_index
        if mask is not None and score >= LEAST_SCORE and is_wanted:
            _paste(view, mask, window, score)
    return view


def mask_view(mask: MaskPatch, window: Window, net_side: int) -> FloatArray:
    """Return how much of each place of a window a mask covers, both in the orig frame, float [S, S]."""
    view = np.zeros((net_side, net_side), dtype=np.float32)
    _paste(view, mask, window, 1.0)
    return view


def _paste(view: FloatArray, mask: MaskPatch, window: Window, score: float) -> None:
    """Lift the view of a window to `score` where the mask lies."""
    if mask.bits.size > MANY_PX:
        mask = _seen(mask, window)
    net_side = view.shape[0]
    net_per_px = net_side / window.side_px
    left, top = (mask.left_px - window.left_px) * net_per_px, (mask.top_px - window.top_px) * net_per_px
    height, width = mask.bits.shape
    x1, y1 = max(0, math.floor(left)), max(0, math.floor(top))
    x2 = min(view.shape[1], math.ceil(left + width * net_per_px))
    y2 = min(view.shape[0], math.ceil(top + height * net_per_px))
    if x2 <= x1 or y2 <= y1:
        return
    stride = max(1, int(1 / (ENOUGH_PX_A_CELL * net_per_px)))
    bits = mask.bits[::stride, ::stride].astype(np.float32)
    if net_per_px < 0.5:
        size_wh = (max(1, round(width * net_per_px)), max(1, round(height * net_per_px)))
        bits = np.asarray(cv2.resize(bits, size_wh, interpolation=cv2.INTER_AREA), dtype=np.float32)
    step_x, step_y = bits.shape[1] / (width * net_per_px), bits.shape[0] / (height * net_per_px)
    matrix = np.array(
        [[step_x, 0.0, (x1 - left + 0.5) * step_x - 0.5], [0.0, step_y, (y1 - top + 0.5) * step_y - 0.5]]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    drawn = cv2.warpAffine(bits, matrix, (x2 - x1, y2 - y1), flags=flags)
    part = view[y1:y2, x1:x2]
    np.maximum(part, drawn * score, out=part)


def _seen(mask: MaskPatch, window: Window) -> MaskPatch:
    """Return what a window shows of a mask, and a pixel around it; the mask where it shows nothing."""
    height, width = mask.bits.shape
    x1, y1 = window.left_px - 1 - mask.left_px, window.top_px - 1 - mask.top_px
    rows = slice(max(0, y1), min(height, y1 + window.side_px + 2))
    columns = slice(max(0, x1), min(width, x1 + window.side_px + 2))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return mask
    return MaskPatch(mask.left_px + columns.start, mask.top_px + rows.start, mask.bits[rows, columns])


def _outline_box(prompts: Prompts) -> FloatArray:
    assert prompts.outline_px is not None
    return box_around(prompts.outline_px)


def _middle(patch: MaskPatch) -> FloatArray:
    rows, columns = np.nonzero(patch.bits)
    middle = len(rows) // 2
    return np.array(
        [columns[middle] + patch.left_px + 0.5, rows[middle] + patch.top_px + 0.5], dtype=np.float32
    )


def _holds(detections: Detections, index: int, x: float, y: float) -> bool:
    mask = detections.masks[index]
    if mask is None:
        left, top, right, bottom = detections.boxes_xyxy_px[index]
        return bool(left <= x <= right and top <= y <= bottom)
    row, column = math.floor(y) - mask.top_px, math.floor(x) - mask.left_px
    height, width = mask.bits.shape
    return 0 <= row < height and 0 <= column < width and bool(mask.bits[row, column])
