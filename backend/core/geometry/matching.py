"""Which of the things found are right: found and drawn ones in pairs of one label that overlap by half."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.core.geometry.boxes import box_iou
from backend.core.geometry.instances import (
    BoolArray,
    Detections,
    FloatArray,
    IntArray,
    MaskPatch,
    TrainingTarget,
)
from backend.core.geometry.masks import connected_parts, join_patches, patch_box, patch_iou
from backend.core.geometry.turned_boxes import is_turned, turned_bounds, turned_boxes_of, turned_iou

HIT_IOU = 0.5
NO_ROW = -1


def match_at_half_iou(detections: Detections, target: TrainingTarget) -> tuple[BoolArray, int]:
    """Return whether each detection (best first) hits an unmatched object of its label; and how many are."""
    return matched_rows(detections, target) != NO_ROW, len(target)


def matched_rows(detections: Detections, target: TrainingTarget) -> IntArray:
    """Return for each detection (best first) the row of the object of its label that it hits, int64 [N].

    NO_ROW for none. By `ious_with`; no object is hit twice.
    """
    rows = np.full(len(detections), NO_ROW, dtype=np.int64)
    taken = np.zeros(len(target), dtype=np.bool_)
    iou = ious_with(detections, target)
    for i in range(len(detections)):
        usable = (target.label_indices == detections.label_indices[i]) & ~taken & (iou[i] >= HIT_IOU)
        if usable.any():
            best = int(np.argmax(np.where(usable, iou[i], -1)))
            taken[best], rows[i] = True, best
    return rows


def ious_with(detections: Detections, target: TrainingTarget) -> FloatArray:
    """Return the IoU [N, M] of what was found with the objects of an image, whatever their labels.

    Of boxes, turned ones where such were learned (`turned_ious`); of masks where no box was learned: target
    is then as `areas_of` gives it.
    """
    return _box_ious(detections, target) if detections.has_boxes else _mask_ious(detections, target)


def scored_hits(
    detections: Sequence[Detections], targets: Sequence[TrainingTarget]
) -> tuple[FloatArray, IntArray, BoolArray, int]:
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


def areas_of(target: TrainingTarget) -> TrainingTarget:
    """Return a target whose objects are the connected parts of what each label covers.

    Objects without a mask are left out: what they cover is not known.
    """
    parts: list[MaskPatch] = []
    label_indices: list[int] = []
    for label in np.unique(target.label_indices).tolist():
        masks = [m for m, mine in zip(target.masks, target.label_indices, strict=True) if mine == label]
        known = [mask for mask in masks if mask is not None]
        found = connected_parts(join_patches(known).full(target.size)) if known else []
        parts += found
        label_indices += [label] * len(found)
    boxes = np.array([patch_box(part) for part in parts], dtype=np.float32).reshape(-1, 4)
    indices = np.array(label_indices, dtype=np.int64)
    return TrainingTarget(target.size, boxes, indices, tuple(parts), extras=target.extras)


def _box_ious(detections: Detections, target: TrainingTarget) -> FloatArray:
    if detections.turned_boxes_px is None:
        return box_iou(detections.boxes_xyxy_px, target.boxes_xyxy_px)
    return turned_ious(detections.turned_boxes_px, target)


def turned_ious(turned_boxes_px: FloatArray, target: TrainingTarget) -> FloatArray:
    """Return the IoU [N, M] of turned boxes [N, 5] that were found with the objects of an image.

    With rectangles as they were drawn, turned or upright. Of a painted area or an outline only the box around
    it is known, so what was found there counts by its own bounds.
    """
    ious = turned_iou(turned_boxes_px, turned_boxes_of(target))
    is_rectangle = np.array([mask is None for mask in target.masks], dtype=np.bool_)
    if target.turned_boxes_px is not None:
        is_rectangle |= is_turned(target.turned_boxes_px)
    others = ~is_rectangle
    ious[:, others] = box_iou(turned_bounds(turned_boxes_px), target.boxes_xyxy_px[others])
    return ious


def _mask_ious(detections: Detections, target: TrainingTarget) -> FloatArray:
    ious = np.zeros((len(detections), len(target)), dtype=np.float32)
    for i, found in enumerate(detections.masks):
        for k, drawn in enumerate(target.masks):
            if found is not None and drawn is not None:
                ious[i, k] = patch_iou(found, drawn)
    return ious
