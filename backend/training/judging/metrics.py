"""How good detections are: COCO average precision, and precision, recall and F1 at one threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.core.geometry.boxes import box_iou
from backend.core.geometry.instances import (
    BoolArray,
    Detections,
    FloatArray,
    ImageSize,
    IntArray,
    MaskPatch,
    TrainingTarget,
)


def average_precision(
    detections: Sequence[Detections], targets: Sequence[TrainingTarget], label_count: int, *, with_masks: bool
) -> dict[str, float]:
    """Return `box_map` (IoU 0.50 to 0.95) and `box_map50`, with masks `mask_map` and `mask_map50` too.

    Masks are compared only where every target has one. Means are over the labels that occur; 0 where
    nothing occurs or nothing was found.
    """
    found = {"box_map": 0.0, "box_map50": 0.0}
    kinds = ["bbox"]
    if with_masks and all(mask is not None for target in targets for mask in target.masks):
        kinds.append("segm")
        found.update(mask_map=0.0, mask_map50=0.0)
    if not any(len(t) for t in targets) or not any(len(d) for d in detections):
        return found
    from faster_coco_eval import COCO, COCOeval_faster

    truth, guesses = _coco_rows(detections, targets, "segm" in kinds)
    coco = COCO(
        {
            "images": [
                {"id": i, "width": t.size.width, "height": t.size.height} for i, t in enumerate(targets)
            ],
            "annotations": truth,
            "categories": [{"id": label, "name": str(label)} for label in range(label_count)],
        }
    )
    for kind, name in zip(kinds, ("box", "mask"), strict=False):
        scored = COCOeval_faster(coco, coco.loadRes(guesses), kind, print_function=lambda *_: None)
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
        found[f"{name}_map"] = max(float(scored.stats[0]), 0.0)
        found[f"{name}_map50"] = max(float(scored.stats[1]), 0.0)
    return found


def match_at_half_iou(detections: Detections, target: TrainingTarget) -> tuple[np.ndarray, int]:
    """Return whether each detection (best first) hits an unmatched object of its label; and how many are."""
    hits = np.zeros(len(detections), dtype=np.bool_)
    taken = np.zeros(len(target), dtype=np.bool_)
    iou = box_iou(detections.boxes_xyxy_px, target.boxes_xyxy_px)
    for i in range(len(detections)):
        usable = (target.label_indices == detections.label_indices[i]) & ~taken & (iou[i] >= 0.5)
        if usable.any():
            best = int(np.argmax(np.where(usable, iou[i], -1)))
            taken[best], hits[i] = True, True
    return hits, len(target)


def matched_mask_ious(detections: Detections, target: TrainingTarget) -> list[float]:
    """Return the mask IoU of every object with a mask whose box was found (IoU 0.5, same label)."""
    iou = box_iou(detections.boxes_xyxy_px, target.boxes_xyxy_px)
    ious = []
    for k, mask in enumerate(target.masks):
        usable = (detections.label_indices == target.label_indices[k]) & (iou[:, k] >= 0.5)
        if mask is None or not usable.any():
            continue
        found = _full(detections.masks[int(np.argmax(np.where(usable, iou[:, k], -1)))], target.size)
        wanted = mask.full(target.size)
        ious.append(float((found & wanted).sum() / max((found | wanted).sum(), 1)))
    return ious


def precision_recall(
    detections: Sequence[Detections], targets: Sequence[TrainingTarget], threshold: float
) -> tuple[float, float]:
    """Return precision and recall at IoU 0.5 of detections at or above a score; 0 where undefined."""
    hit_count = kept_count = object_count = 0
    for found, target in zip(detections, targets, strict=True):
        hits, objects = match_at_half_iou(found, target)
        kept = found.scores >= threshold
        hit_count += int(hits[kept].sum())
        kept_count += int(kept.sum())
        object_count += objects
    return hit_count / max(kept_count, 1), hit_count / max(object_count, 1)


def scores_by_label(
    detections: Sequence[Detections],
    targets: Sequence[TrainingTarget],
    labels: Sequence[str],
    threshold: float,
) -> dict[str, dict[str, float]]:
    """Return precision, recall and F1 at IoU 0.5 and the number of objects, by label, from a score up."""
    counts = np.zeros((len(labels), 3))
    for found, target in zip(detections, targets, strict=True):
        hits, _ = match_at_half_iou(found, target)
        kept = found.scores >= threshold
        for column, indices in enumerate(
            (found.label_indices[kept & hits], found.label_indices[kept], target.label_indices)
        ):
            counts[:, column] += np.bincount(indices, minlength=len(labels))
    return {
        label: {
            "precision": round(float(hit / max(predicted, 1)), 4),
            "recall": round(float(hit / max(drawn, 1)), 4),
            "f1": round(float(2 * hit / max(predicted + drawn, 1)), 4),
            "objects": int(drawn),
        }
        for label, (hit, predicted, drawn) in zip(labels, counts, strict=True)
    }


def scored_hits(
    detections: Sequence[Detections], targets: Sequence[TrainingTarget]
) -> tuple[FloatArray, IntArray, np.ndarray, int]:
    """Return scores, labels and hits of all detections, concatenated, and the number of objects."""
    hits, objects = [], 0
    for found, target in zip(detections, targets, strict=True):
        mine, count = match_at_half_iou(found, target)
        hits.append(mine)
        objects += count
    if not detections:
        return np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_), 0
    scores = np.concatenate([d.scores for d in detections])
    labels = np.concatenate([d.label_indices for d in detections])
    return scores, labels, np.concatenate(hits), objects


def _coco_rows(
    detections: Sequence[Detections], targets: Sequence[TrainingTarget], with_masks: bool
) -> tuple[list[dict], list[dict]]:
    truth: list[dict] = []
    guesses: list[dict] = []
    for image_id, (found, target) in enumerate(zip(detections, targets, strict=True)):
        for k in range(len(target)):
            row = _row(image_id, target.boxes_xyxy_px[k], target.label_indices[k])
            if with_masks:
                bits = _full(target.masks[k], target.size)
                row.update(segmentation=_coco_rle(bits), area=float(bits.sum()))
            truth.append({**row, "id": len(truth) + 1, "iscrowd": 0})
        for k in range(len(found)):
            row = _row(image_id, found.boxes_xyxy_px[k], found.label_indices[k])
            if with_masks:
                row["segmentation"] = _coco_rle(_full(found.masks[k], target.size))
            guesses.append({**row, "score": float(found.scores[k])})
    return truth, guesses


def _row(image_id: int, box: FloatArray, label: int) -> dict:
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


def _coco_rle(bits: np.ndarray) -> dict:
    from faster_coco_eval.core import mask as coco_mask

    return coco_mask.encode(np.asfortranarray(bits.astype(np.uint8)))
