"""How good a network is on images that it has not learned from, while it trains and after."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np

from backend.core.geometry.instances import Detections, IntArray
from backend.errors import OutOfMemory
from backend.nn.detector.heads.head import AnyHead
from backend.nn.detector.predictor import Predictor
from backend.nn.runtime.memory import give_back_device_memory, is_out_of_memory
from backend.training.detector.images import CachedImage

logger = logging.getLogger(__name__)

EVALUATION_FLOOR = 0.01
EVALUATION_NMS = 0.40
# A later epoch has learned at a lower rate, so an earlier one is preferred only where it is surely better: by
# more than two standard errors of the difference, which for so many held-out objects is this over their root
# (one object's fitness varies by about 0.45, and what two epochs make of it correlates by about 0.8).
SURELY_BETTER = 0.56


def predict_images(predictor: Predictor, images: Sequence[CachedImage]) -> list[Detections]:
    """Return detections down to a low score, in the frame of the cached images.

    Where memory does not suffice they are looked at one by one. Raises OutOfMemory where that does not help.
    """
    try:
        return _predict(predictor, images)
    except (RuntimeError, MemoryError) as exc:
        if not is_out_of_memory(exc):
            raise
        logger.warning("out of memory with %d images to judge by: one at a time", len(images))
    # Behind the handler: the error held what the work had on the device.
    give_back_device_memory()
    try:
        return [found for image in images for found in _predict(predictor, [image])]
    except (RuntimeError, MemoryError) as exc:
        if not is_out_of_memory(exc):
            raise
        raise OutOfMemory(
            "not enough memory to look at one image at a time; choose a smaller image_size or backbone, or "
            "let nothing else use the device"
        ) from exc


def _predict(predictor: Predictor, images: Sequence[CachedImage]) -> list[Detections]:
    return predictor.predict(
        [np.asarray(image.image) for image in images],
        confidence_threshold=EVALUATION_FLOOR,
        nms_threshold=EVALUATION_NMS,
    )


def measured(
    heads: Sequence[AnyHead], found: Sequence[Detections], images: Sequence[CachedImage], label_count: int
) -> dict[str, float]:
    """Return the measures of all heads by name."""
    metrics: dict[str, float] = {}
    for head in heads:
        targets = [head.as_found(image.target) for image in images]
        metrics.update(head.measure(found, targets, label_count))
    return metrics


def scored_head(heads: Sequence[AnyHead]) -> AnyHead | None:
    """Return the head whose objects have scores, None where none has."""
    return next((head for head in heads if head.has_scores), None)


def surely_better(counts: IntArray) -> float:
    """Return by how much fitness must differ for one epoch to be surely better than another.

    counts [L]: of held-out objects by label. Fitness is a mean over labels, so a rare one makes it less sure.
    """
    shown = counts[counts > 0]
    # So many objects of one label say as much as so many of each.
    equal_count = len(shown) ** 2 / float((1 / shown).sum()) if len(shown) else 1.0
    return SURELY_BETTER / math.sqrt(equal_count)
