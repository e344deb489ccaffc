"""From codes to turned boxes, and suppression among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backend.core.geometry.instances import FloatArray, IntArray
from backend.core.geometry.turned_boxes import turned_iou, upright_as_turned
from backend.nn.detector.heads.boxes.decoding import Candidates
from backend.nn.detector.heads.boxes.turned.coding import codes_to_turned
from backend.nn.detector.heads.turning import turning


def with_turned_boxes(candidates: Candidates, codes: FloatArray, shares: Sequence[float]) -> Candidates:
    """Return candidates with their turned boxes, by the codes [P, 4] of all cells.

    shares [L]: of the labels; an object of a label that is not drawn turned stays upright.
    """
    rows = upright_as_turned(candidates.boxes_xyxy_px)
    turns = turning(shares)[candidates.label_indices]
    rows[turns] = codes_to_turned(codes[candidates.cells[turns]], candidates.boxes_xyxy_px[turns])
    return replace(candidates, turned_boxes_px=rows)


def suppress_turned_per_label(candidates: Candidates, iou_threshold: float) -> IntArray:
    """Return the indices kept by greedy suppression within each label, by the IoU of turned boxes.

    Neighbours in a diagonal row share most of their upright boxes and hardly anything of their own.
    """
    assert candidates.turned_boxes_px is not None
    kept: list[int] = []
    for label in np.unique(candidates.label_indices):
        mine = np.flatnonzero(candidates.label_indices == label)
        rows = candidates.turned_boxes_px[mine]
        overlaps = turned_iou(rows, rows) > iou_threshold
        is_left = np.ones(len(mine), np.bool_)
        for k, index in enumerate(mine.tolist()):
            if is_left[k]:
                kept.append(index)
                is_left[k + 1 :] &= ~overlaps[k, k + 1 :]
    return np.sort(np.array(kept, dtype=np.int64))
