"""From what the network says about one image to objects in the image's own pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from backend.core.geometry.instances import BoolArray, FloatArray, IntArray, MaskPatch
from backend.core.geometry.letterbox import Letterbox, linear_at
from backend.core.geometry.masks import count_parts
from backend.nn.detector.heads.masks.module import OBJECT_MASK_SIDE
from backend.nn.detector.heads.score_map import ScoreMap

# Candidates per image that enter suppression; more only cost time.
MAX_CANDIDATES = 400
# A part of an object smaller than this share of its largest part is a speck, unless the label's regions
# usually come in parts (painted areas): then only crumbs are.
SPECK_SHARE = 0.08
CRUMB_SHARE = 0.005
# Where a mask ends, as a logit; below 0, since edges that the map cannot resolve come out too small.
MASK_CUT_LOGIT = -0.4


@dataclass(frozen=True, eq=False)
class Candidates:
    """Objects of one image, best first: boxes_xyxy_px [K, 4] in the net frame, scores [K], labels [K]."""

    boxes_xyxy_px: FloatArray
    scores: FloatArray
    label_indices: IntArray

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, keep: IntArray | BoolArray | slice) -> Candidates:
        """Return some of them, in the order of `keep`."""
        return Candidates(self.boxes_xyxy_px[keep], self.scores[keep], self.label_indices[keep])


def select_candidates(
    class_logits: FloatArray,
    boxes_xyxy_px: FloatArray,
    score_map: ScoreMap,
    *,
    score_floor: float,
    nms_threshold: float,
) -> Candidates:
    """Return what the floor and suppression per label leave of class_logits [P, L] and boxes [P, 4]."""
    cells, labels = np.nonzero(class_logits >= score_map.score_to_logit(score_floor))
    logits = class_logits[cells, labels]
    order = np.argsort(-logits, kind="stable")[:MAX_CANDIDATES]
    cells, labels = cells[order], labels[order]
    boxes = boxes_xyxy_px[cells]
    is_proper = (boxes[:, 2] - boxes[:, 0] > 0.5) & (boxes[:, 3] - boxes[:, 1] > 0.5)
    candidates = Candidates(
        boxes[is_proper].astype(np.float32),
        score_map.logits_to_scores(logits[order])[is_proper],
        labels[is_proper].astype(np.int64),
    )
    return candidates.take(suppress_per_label(candidates, nms_threshold))


def suppress_per_label(candidates: Candidates, iou_threshold: float) -> IntArray:
    """Return the indices kept by greedy suppression within each label; candidates come best first."""
    if not len(candidates):
        return np.zeros(0, dtype=np.int64)
    # In float64, since labels are kept apart by moving their boxes apart.
    boxes_xywh_px = candidates.boxes_xyxy_px.astype(np.float64)
    boxes_xywh_px[:, 2:] -= boxes_xywh_px[:, :2]
    kept = cv2.dnn.NMSBoxesBatched(
        boxes_xywh_px.tolist(),
        candidates.scores.tolist(),
        candidates.label_indices.tolist(),
        score_threshold=-1.0,  # none is left out for its score
        nms_threshold=iou_threshold,
    )
    return np.sort(np.asarray(kept, dtype=np.int64))


def object_mask(
    semantic_logits: FloatArray,
    residual: FloatArray,
    window_xyxy_px: FloatArray,
    letterbox: Letterbox,
    *,
    speck_share: float = SPECK_SHARE,
    cut_logit: float = MASK_CUT_LOGIT,
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
    logits = letterbox.map_to_orig(semantic_logits, (left, top, right, bottom))
    per_px_x = OBJECT_MASK_SIDE / (window_xyxy_px[2] - window_xyxy_px[0])
    per_px_y = OBJECT_MASK_SIDE / (window_xyxy_px[3] - window_xyxy_px[1])
    columns = ((np.arange(left, right) + 0.5) * scale_x - window_xyxy_px[0]) * per_px_x - 0.5
    rows = ((np.arange(top, bottom) + 0.5) * scale_y - window_xyxy_px[1]) * per_px_y - 0.5
    logits += linear_at(residual.astype(np.float32), rows, columns)
    # An unsure object still gets its best guess rather than nothing.
    cut = min(cut_logit, float(logits.max()) - 1.0)
    bits = without_specks(logits > cut, speck_share)
    patch = MaskPatch.from_full(bits)
    if patch is None:
        return None
    return MaskPatch(left_px=left + patch.left_px, top_px=top + patch.top_px, bits=patch.bits)


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
