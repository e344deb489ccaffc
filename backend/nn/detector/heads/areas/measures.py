"""How well areas cover what was painted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.core.geometry.instances import BoolArray, Detections, TrainingTarget


def mean_area_iou(found: Sequence[Detections], targets: Sequence[TrainingTarget], label_count: int) -> float:
    """Return the IoU of what each label covers, pixels of all images counted together, as a mean over labels.

    Labels that no image shows do not count; 0 where none is shown.
    """
    shared, either, drawn = np.zeros(label_count), np.zeros(label_count), np.zeros(label_count)
    for mine, target in zip(found, targets, strict=True):
        for label in np.union1d(mine.label_indices, target.label_indices).tolist():
            a, b = _covered(mine, label), _covered(target, label)
            shared[label] += np.count_nonzero(a & b)
            either[label] += np.count_nonzero(a | b)
            drawn[label] += np.count_nonzero(b)
    is_shown = drawn > 0
    return float((shared[is_shown] / either[is_shown]).mean()) if is_shown.any() else 0.0


def area_ious(found: Detections, target: TrainingTarget) -> list[float]:
    """Return the IoU of what each label covers in one image, of the labels that it shows, in their order."""
    ious = []
    for label in np.unique(target.label_indices).tolist():
        a, b = _covered(found, label), _covered(target, label)
        if b.any():
            ious.append(float(np.count_nonzero(a & b) / np.count_nonzero(a | b)))
    return ious


def _covered(image: Detections | TrainingTarget, label: int) -> BoolArray:
    covered = np.zeros((image.size.height, image.size.width), dtype=np.bool_)
    for mask, of in zip(image.masks, image.label_indices.tolist(), strict=True):
        if mask is not None and of == label:
            covered |= mask.full(image.size)
    return covered
