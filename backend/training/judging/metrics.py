"""How good detections are at one threshold, overall and by label, and whether their scores are chances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.core.geometry.instances import BoolArray, Detections, FloatArray, TrainingTarget
from backend.core.geometry.matching import match_at_half_iou


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


def expected_calibration_error(scores: FloatArray, hits: BoolArray, bins: int = 10) -> float:
    """Return the mean gap between score and hit rate over equal bins of score, weighted by their size."""
    if not len(scores):
        return 0.0
    which = np.clip((scores * bins).astype(int), 0, bins - 1)
    error = 0.0
    for b in range(bins):
        mine = which == b
        if mine.any():
            error += abs(float(scores[mine].mean()) - float(hits[mine].mean())) * float(mine.mean())
    return error
