"""COCO's average precision of boxes and of masks, over the labels that occur."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backend.core.geometry.instances import (
    BoolArray,
    Detections,
    FloatArray,
    ImageSize,
    MaskPatch,
    TrainingTarget,
)
from backend.core.geometry.matching import HIT_IOU, turned_ious
from backend.core.geometry.turned_boxes import upright_as_turned

COCO_MOST_GUESSES = 100


def box_average_precision(
    found: Sequence[Detections], targets: Sequence[TrainingTarget], label_count: int
) -> dict[str, float]:
    """Return `box_map` (mean over IoU 0.50 to 0.95) and `box_map50`; 0 where nothing occurs or is found."""
    return _average_precision(found, targets, label_count, "box")


def mask_average_precision(
    found: Sequence[Detections], targets: Sequence[TrainingTarget], label_count: int
) -> dict[str, float]:
    """Return `mask_map` and `mask_map50` likewise; nothing where the mask of any object is not known."""
    if any(mask is None for target in targets for mask in target.masks):
        return {}
    return _average_precision(found, targets, label_count, "mask")


def turned_average_precision(
    found: Sequence[Detections], targets: Sequence[TrainingTarget], label_count: int
) -> dict[str, float]:
    """Return `turned_map50`: average precision at IoU 0.50 of turned boxes, the mean of all labels drawn.

    An upright box counts as one that is not turned. Precision is that of 101 recalls, as COCO reads it.
    """
    precisions = [
        _turned_precision(found, targets, label)
        for label in range(label_count)
        if any((target.label_indices == label).any() for target in targets)
    ]
    return {"turned_map50": float(np.mean(precisions)) if precisions else 0.0}


def _turned_precision(found: Sequence[Detections], targets: Sequence[TrainingTarget], label: int) -> float:
    scores, hits, drawn_count = [], [], 0
    for one, target in zip(found, targets, strict=True):
        mine, drawn = one.label_indices == label, target.label_indices == label
        drawn_count += int(drawn.sum())
        turned = one.turned_boxes_px
        rows = upright_as_turned(one.boxes_xyxy_px) if turned is None else turned
        order = np.argsort(-one.scores[mine], kind="stable")
        scores.append(one.scores[mine][order])
        hits.append(_greedy_hits(turned_ious(rows[mine], target)[:, drawn][order]))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    true = np.cumsum(np.concatenate(hits)[order])
    precision = true / np.arange(1, len(true) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(true / drawn_count, np.linspace(0, 1, 101), side="left")
    return float(np.append(best_from_here, 0.0)[at].mean())


def _greedy_hits(ious: FloatArray) -> BoolArray:
    """Return which of the found objects, best first, hit one of the drawn ones that none before has hit."""
    left = np.where(ious >= HIT_IOU, ious, 0.0)
    hits = np.zeros(len(ious), dtype=np.bool_)
    for k in range(len(ious)):
        if left.shape[1] and left[k].max() > 0:
            hits[k] = True
            left[:, int(left[k].argmax())] = 0.0
    return hits


def _average_precision(
    found: Sequence[Detections], targets: Sequence[TrainingTarget], label_count: int, name: str
) -> dict[str, float]:
    if not any(len(t) for t in targets) or not any(len(d) for d in found):
        return {f"{name}_map": 0.0, f"{name}_map50": 0.0}
    from faster_coco_eval import COCO, COCOeval_faster

    truth, guesses = _rows(found, targets, with_masks=name == "mask")
    coco = COCO(
        {
            "images": [
                {"id": i, "width": t.size.width, "height": t.size.height} for i, t in enumerate(targets)
            ],
            "annotations": truth,
            "categories": [{"id": label, "name": str(label)} for label in range(label_count)],
        }
    )
    kind = {"box": "bbox", "mask": "segm"}[name]
    scored = COCOeval_faster(coco, coco.loadRes(guesses), kind, print_function=lambda *_: None)
    # COCO counts the best hundred guesses of an image, too few where more things are drawn or found.
    scored.params.maxDets = [1, 10, max(COCO_MOST_GUESSES, *(len(one) for one in (*found, *targets)))]
    scored.evaluate()
    scored.accumulate()
    scored.summarize()
    return {
        f"{name}_map": max(float(scored.stats[0]), 0.0),
        f"{name}_map50": max(float(scored.stats[1]), 0.0),
    }


def _rows(
    found: Sequence[Detections], targets: Sequence[TrainingTarget], *, with_masks: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    truth: list[dict[str, Any]] = []
    guesses: list[dict[str, Any]] = []
    for image_id, (mine, target) in enumerate(zip(found, targets, strict=True)):
        for k in range(len(target)):
            row = _row(image_id, target.boxes_xyxy_px[k], target.label_indices[k])
            if with_masks:
                bits = _full(target.masks[k], target.size)
                row.update(segmentation=_coco_rle(bits), area=float(bits.sum()))
            truth.append({**row, "id": len(truth) + 1, "iscrowd": 0})
        for k in range(len(mine)):
            row = _row(image_id, mine.boxes_xyxy_px[k], mine.label_indices[k])
            if with_masks:
                row["segmentation"] = _coco_rle(_full(mine.masks[k], target.size))
            guesses.append({**row, "score": float(mine.scores[k])})
    return truth, guesses


def _row(image_id: int, box: FloatArray, label: int) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(v) for v in box)
    width, height = x2 - x1, y2 - y1
    return {
        "image_id": image_id,
        "category_id": int(label),
        "bbox": [x1, y1, width, height],
        "area": width * height,
    }


def _full(mask: MaskPatch | None, size: ImageSize) -> BoolArray:
    return np.zeros((size.height, size.width), np.bool_) if mask is None else mask.full(size)


def _coco_rle(bits: BoolArray) -> dict[str, Any]:
    from faster_coco_eval.core import mask as coco_mask

    coco_rle: dict[str, Any] = coco_mask.encode(np.asfortranarray(bits.astype(np.uint8)))
    return coco_rle
