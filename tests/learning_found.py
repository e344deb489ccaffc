"""Detections and targets made by hand, of one image of 100 x 100 pixels."""

import numpy as np

from backend.core.geometry.instances import Detections, ImageSize, TrainingTarget

SIZE = ImageSize(100, 100)


def detections(boxes, scores, labels=None):
    labels = np.zeros(len(boxes), np.int64) if labels is None else np.array(labels)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(SIZE, boxes, np.array(scores, np.float32), labels, (None,) * len(boxes))


def target(boxes):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return TrainingTarget(SIZE, boxes, np.zeros(len(boxes), np.int64), (None,) * len(boxes))
