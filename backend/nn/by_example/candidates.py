"""Windows that may show a thing, and which of those that overlap stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.core.geometry.boxes import box_area, box_iou
from backend.core.geometry.instances import FloatArray, IntArray

SAME_THING_IOU = 0.6
"""One that overlaps a better one of another label so far is a worse guess about the same thing."""

PART_SHARE = 0.85
"""One of whose area so much lies in a better one of its label is a part of that."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Things of one image, best first: boxes_xyxy_px [N, 4] in its pixels, scores [N], labels [N]."""

    boxes_xyxy_px: FloatArray
    scores: FloatArray
    label_indices: IntArray

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, keep: IntArray) -> Candidates:
        """Return some of them, in the order of `keep`."""
        return Candidates(self.boxes_xyxy_px[keep], self.scores[keep], self.label_indices[keep])

    def suppressed(self, nms_threshold: float, most: int) -> Candidates:
        """Return those, at most so many, that are neither a part nor a worse guess of a better one."""
        overlap = box_iou(self.boxes_xyxy_px, self.boxes_xyxy_px)
        areas = box_area(self.boxes_xyxy_px)
        shared = overlap / (1 + overlap) * (areas[:, None] + areas[None])
        is_part = shared > PART_SHARE * areas[:, None]
        is_own = self.label_indices[:, None] == self.label_indices[None]
        of_others = max(nms_threshold, SAME_THING_IOU)
        is_beaten = np.where(is_own, is_part | (overlap > nms_threshold), overlap > of_others)
        kept: list[int] = []
        for index in range(len(self)):
            if len(kept) < most and not is_beaten[index, kept].any():
                kept.append(index)
        return self.take(np.array(kept, dtype=np.int64))
