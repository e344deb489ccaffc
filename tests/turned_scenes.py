"""Pictures of red bars, drawn turned, and blue blocks, drawn upright: rectangles that teach no mask."""

import cv2
import numpy as np

from backend.core.geometry.instances import ImageSize, TrainingTarget
from backend.core.geometry.turned_boxes import NOT_TURNED, turned_bounds, turned_corners
from backend.training.inputs import TrainingSample

LABELS = ("bar", "block")
SIZE = ImageSize(112, 80)
COLOURS = ((220, 60, 50), (60, 80, 230))


def picture(seed):
    """Return image and target: two bars and a block, each in a third of the picture."""
    rng = np.random.default_rng(seed)
    image = rng.integers(20, 60, size=(SIZE.height, SIZE.width, 3), dtype=np.uint8)
    rows, labels = [], []
    third = SIZE.width / 3
    for column, label in enumerate(rng.permutation([0, 0, 1]).tolist()):
        sides = (rng.uniform(24, 30), rng.uniform(8, 11)) if label == 0 else rng.uniform(12, 20, 2)
        degrees = rng.uniform(-45, 45) if label == 0 else 0.0
        centre = ((column + 0.5) * third, rng.uniform(24, SIZE.height - 24))
        if label == 0 and rng.random() < 0.5:
            sides = sides[::-1]
        rows.append([*centre, *sides, degrees])
        labels.append(label)
    turned = np.array(rows, np.float32)
    for corners, label in zip(turned_corners(turned), labels, strict=True):
        cv2.fillConvexPoly(image, np.round((corners - 0.5) * 16).astype(int), COLOURS[label], cv2.LINE_AA, 4)
    boxes = turned_bounds(turned)
    turned[np.array(labels) == 1] = NOT_TURNED
    target = TrainingTarget(
        SIZE, boxes, np.array(labels, np.int64), (None,) * len(labels), turned_boxes_px=turned
    )
    return image, target


def sample(task_id):
    image, target = picture(task_id)
    return TrainingSample(task_id, lambda: image, target)
