"""From the cells of one image to candidates: what a floor of the score and suppression leave."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from backend.core.geometry.instances import BoolArray, FloatArray, IntArray
from backend.nn.detector.heads.score_map import ScoreMap

# Candidates per image that enter suppression, and for each region that may be left; more only cost time.
MAX_CANDIDATES, CANDIDATES_A_REGION = 400, 4


@dataclass(frozen=True, eq=False)
class Candidates:
    """Objects of one image, best first: boxes_xyxy_px [K, 4] in the net frame, scores [K], labels [K].

    cells int64 [K]: that found them. turned_boxes_px [K, 5], in the net frame: None where none were learned.
    """

    boxes_xyxy_px: FloatArray
    scores: FloatArray
    label_indices: IntArray
    cells: IntArray
    turned_boxes_px: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, keep: IntArray | BoolArray | slice) -> Candidates:
        """Return some of them, in the order of `keep`."""
        turned = self.turned_boxes_px
        return Candidates(
            self.boxes_xyxy_px[keep],
            self.scores[keep],
            self.label_indices[keep],
            self.cells[keep],
            None if turned is None else turned[keep],
        )


def best_candidates(
    class_logits: FloatArray,
    boxes_xyxy_px: FloatArray,
    score_map: ScoreMap,
    *,
    score_floor: float,
    max_regions: int = 100,
) -> Candidates:
    """Return the best of class_logits [P, L] and boxes [P, 4] that reach the floor, nothing suppressed.

    max_regions: how many may be left when the others are.
    """
    cells, labels = np.nonzero(class_logits >= score_map.score_to_logit(score_floor))
    logits = class_logits[cells, labels]
    order = np.argsort(-logits, kind="stable")[: max(MAX_CANDIDATES, CANDIDATES_A_REGION * max_regions)]
    cells, labels = cells[order], labels[order]
    boxes = boxes_xyxy_px[cells]
    is_proper = (boxes[:, 2] - boxes[:, 0] > 0.5) & (boxes[:, 3] - boxes[:, 1] > 0.5)
    return Candidates(
        boxes[is_proper].astype(np.float32),
        score_map.logits_to_scores(logits[order])[is_proper],
        labels[is_proper].astype(np.int64),
        cells[is_proper].astype(np.int64),
    )


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
