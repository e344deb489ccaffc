"""From the logits of one object to its mask in the image's own pixels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from backend.core.geometry.instances import BoolArray, FloatArray, MaskPatch, TrainingTarget
from backend.core.geometry.letterbox import Letterbox, linear_at
from backend.core.geometry.mask_grid import MaskGrid
from backend.core.geometry.masks import count_parts, tight_patch
from backend.nn.detector.heads.masks.module import OBJECT_MASK_SIDE

# A part of an object smaller than this share of its largest part is a speck, unless the label's regions
# usually come in parts (painted areas): then only crumbs are.
SPECK_SHARE = 0.08
CRUMB_SHARE = 0.005
# A second part this large, relative to the largest, makes a mask one in parts.
IN_PARTS_SHARE = 0.02
# Where a mask ends, as a logit; below 0, since edges that the map cannot resolve come out too small.
MASK_THRESHOLD_LOGIT = -0.4


def object_mask(
    semantic_logits: FloatArray,
    residual: FloatArray,
    window_xyxy_px: FloatArray,
    letterbox: Letterbox,
    *,
    speck_share: float = SPECK_SHARE,
    threshold_logit: float = MASK_THRESHOLD_LOGIT,
) -> MaskPatch | None:
    """Return the mask of one object in the orig frame; None where its window misses the image.

    semantic_logits [h, w]: of the object's label over the whole input; residual [28, 28]: what the object
    adds inside its window (net frame).
    """
    scale_x, scale_y = letterbox.scale_xy
    left = max(int(np.floor(window_xyxy_px[0] / scale_x)), 0)
    top = max(int(np.floor(window_xyxy_px[1] / scale_y)), 0)
    right = min(int(np.ceil(window_xyxy_px[2] / scale_x)), letterbox.size.width)
    bottom = min(int(np.ceil(window_xyxy_px[3] / scale_y)), letterbox.size.height)
    if right <= left or bottom <= top:
        return None
    grid = MaskGrid.over((left, top, right, bottom))
    columns_px, rows_px = grid.centres_xy_px
    logits = letterbox.map_at(semantic_logits, rows_px, columns_px)
    per_px_x = OBJECT_MASK_SIDE / (window_xyxy_px[2] - window_xyxy_px[0])
    per_px_y = OBJECT_MASK_SIDE / (window_xyxy_px[3] - window_xyxy_px[1])
    columns = ((columns_px + 0.5) * scale_x - window_xyxy_px[0]) * per_px_x - 0.5
    rows = ((rows_px + 0.5) * scale_y - window_xyxy_px[1]) * per_px_y - 0.5
    logits += linear_at(residual.astype(np.float32), rows, columns)
    # An unsure object still gets its best guess rather than nothing.
    threshold = min(threshold_logit, float(logits.max()) - 1.0)
    bits = without_specks(logits > threshold, speck_share)
    if grid.is_coarse:
        bits = grid.decided(1 / (1 + np.exp(np.clip(threshold - logits, -30, 30))), bits)
    return tight_patch(bits, left, top)


def without_specks(mask: BoolArray, speck_share: float = SPECK_SHARE) -> BoolArray:
    """Return the mask without parts below a share of its largest one."""
    mask = np.ascontiguousarray(mask)
    if count_parts(mask) <= 1:
        return mask
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    keep = areas >= speck_share * areas.max()
    keep[0] = False
    return keep[parts]


def speck_shares(taught: Sequence[TrainingTarget], label_count: int) -> tuple[float, ...]:
    """Return per label which parts of a mask are specks: hardly any where masks often come in parts."""
    whole, in_parts = np.zeros(label_count), np.zeros(label_count)
    for target in taught:
        for label, mask in zip(target.label_indices, target.masks, strict=True):
            if mask is None:
                continue
            stats = cv2.connectedComponentsWithStats(mask.bits.astype(np.uint8), connectivity=8)[2]
            areas = np.sort(stats[1:, cv2.CC_STAT_AREA])
            is_in_parts = len(areas) > 1 and areas[-2] >= IN_PARTS_SHARE * areas[-1]
            (in_parts if is_in_parts else whole)[label] += 1
    often = in_parts >= 0.25 * np.maximum(in_parts + whole, 1)
    return tuple(CRUMB_SHARE if o and n else SPECK_SHARE for o, n in zip(often, in_parts, strict=True))
